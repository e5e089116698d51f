#!/usr/bin/env bash
# Builds target/images/redis.tar from this machine's Redis, unless it is up to date.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
images=${CARGO_TARGET_DIR:-$(dirname "$here")/target}/images
image=nhub.test/redis:test
store=$images/redis-store
staged=$images/redis
. "$here/packages.sh"
. "$here/buildah.sh"

stage() { # program
  mkdir -p "$staged/usr/local/bin"
  cp "$1" "$staged/usr/local/bin/redis-server"
  stage_libraries "$staged" "$1"
  stage_names "$staged"
}

ensure redis-server=redis-server buildah=buildah crun=crun
program=$(readlink -f "$(command -v redis-server)")
made_of=$(cat "$0" "$here/buildah.sh" "$program" | sha256sum)
if [ -e "$images/redis.tar" ] && [ "$made_of" = "$(cat "$images/redis.made-of" 2> /dev/null)" ]; then exit; fi
rm -rf "$store" "$staged" "$images"/redis.{tar,made-of}
stage "$program"
bud --tag "$image" --file - "$staged" <<< $'FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin\nUSER 65532:65532'
archive "$image" "$images/redis.tar"
echo "$made_of" > "$images/redis.made-of"
rm -rf "$store" "$staged"
echo "images: $images/redis.tar" >&2
