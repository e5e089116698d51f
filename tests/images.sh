#!/usr/bin/env bash
# Builds the images of hub and operator from the Dockerfile into archives in target/images, without a daemon or a registry:
# the programs are built by cargo, and the runtime image contains files of this machine.
#
#   images.sh [PROFILE]           a cargo profile, by default dev like the tests
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$here")
profile=${1:-dev}
target=${CARGO_TARGET_DIR:-$project/target}
images=$target/images
programs=(notification-hub notification-hub-operator)
store=$images/store
. "$here/packages.sh"
. "$here/buildah.sh"

say() { echo "images: $*" >&2; }

compile() {
  toolchain cargo
  say "compiling hub and operator (profile $profile)"
  (cd "$project" && cargo build --locked --profile "$profile" --workspace --bins)
}

stage_programs() { # folder
  local name
  mkdir -p "$1"
  for name in "${programs[@]}"; do
    strip --strip-debug -o "$1/$name" "$target/${profile/#dev/debug}/$name"
  done
}

# Copies the files that the programs need at runtime: libraries, certificates, users, and the order of host name lookups.
stage_system() { # folder
  local certificates=/etc/ssl/certs/ca-certificates.crt
  stage_libraries "$1" "${programs[@]/#/$images/programs/}"
  mkdir -p "$1$(dirname $certificates)"
  cp -L $certificates "$1$certificates"
  stage_names "$1"
}

build() {
  local name
  bud --tag localhost/notification-hub-system:latest --file - "$images/system" <<< $'FROM scratch\nCOPY . /'
  for name in hub operator; do
    bud --target $name --tag "nhub.test/$name:test" --file "$project/Dockerfile" --build-arg BINARIES=prebuilt \
      --build-arg RUNTIME_IMAGE=localhost/notification-hub-system:latest "$images/programs"
    archive "nhub.test/$name:test" "$images/$name.tar"
    say "$images/$name.tar"
  done
}

ensure buildah=buildah crun=crun strip=binutils /etc/ssl/certs/ca-certificates.crt=ca-certificates
compile
rm -rf "$store" "$images"/{hub.tar,operator.tar,system,programs}
stage_programs "$images/programs"
stage_system "$images/system"
build
rm -rf "$store" "$images/system" "$images/programs"
