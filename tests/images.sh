#!/usr/bin/env bash
# Builds the images of hub and operator from the Dockerfile, without a container engine and without a registry: the
# programs as cargo has built them, the runtime image from this machine's own files. As archives in target/images.
#
#   images.sh [PROFILE]           a cargo profile; dev is the one that the tests have built already
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$here")
profile=${1:-dev}
target=${CARGO_TARGET_DIR:-$project/target}
images=$target/images
programs=(notification-hub notification-hub-operator)
. "$here/packages.sh"

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

# What the programs need from a system: the libraries they link to, certificates, names and a user.
stage_system() { # folder
  local file
  for file in $(ldd "${programs[@]/#/$images/programs/}" | grep -o '/[^ ]*lib[^ ]*\.so[^ ]*' | sort -u) \
    /etc/ssl/certs/ca-certificates.crt; do
    mkdir -p "$1$(dirname "$file")"
    cp -L "$file" "$1$file"
  done
  mkdir -p "$1/tmp" "$1/home/nonroot"
  chmod 1777 "$1/tmp"
  echo 'hosts: files dns' > "$1/etc/nsswitch.conf"
  printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' > "$1/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' > "$1/etc/group"
}

bud() { # options...
  buildah "${storage[@]}" bud --quiet --isolation chroot "$@" > /dev/null
}

build() {
  local name
  bud --tag localhost/notification-hub-system:latest --file - "$images/system" <<< $'FROM scratch\nCOPY . /'
  for name in hub operator; do
    bud --target $name --tag "nhub.test/$name:test" --file "$project/Dockerfile" --build-arg BINARIES=prebuilt \
      --build-arg RUNTIME_IMAGE=localhost/notification-hub-system:latest "$images/programs"
    buildah "${storage[@]}" push --quiet "nhub.test/$name:test" "oci-archive:$images/$name.tar:nhub.test/$name:test"
    say "$images/$name.tar"
  done
}

ensure buildah=buildah crun=crun strip=binutils /etc/ssl/certs/ca-certificates.crt=ca-certificates
compile
rm -rf "$images"
store=$images/store
storage=(--storage-driver vfs --root "$store/root" --runroot "$store/run")
stage_programs "$images/programs"
stage_system "$images/system"
build
rm -rf "$store" "$images/system" "$images/programs"
