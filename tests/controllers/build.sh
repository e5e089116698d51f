#!/usr/bin/env bash
# Builds the third-party controller of a folder beside this script, unless it exists. Prints the program's path, which is in a cache
# outside of the checkout. The folder is a Go module whose `tool` is the program. Its script `prepare.sh`, if there is one, runs in a
# copy of the folder before the build.
#
#   build.sh NAME
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../packages.sh"
name=${1?the name of a folder in $here}
[ -e "$here/$name/go.mod" ] || { echo "$here/$name/go.mod: no such file; the controllers are: $(cd "$here" && echo */)" >&2; exit 2; }
sources=$(cd "$here/$name" && find . -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12)
program=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/notification-hub/$name-$sources

build() {
  toolchain go
  mkdir -p "$(dirname "$program")"
  # Several runs may need it at the same time.
  exec 9> "$program.lock"
  flock 9
  [ ! -e "$program" ] || return 0
  echo "building $name, once: some minutes on two cores" >&2
  local work=$program.work
  rm -rf "$work"
  cp -r "$here/$name" "$work"
  cd "$work"
  if [ -e prepare.sh ]; then ./prepare.sh; fi
  # `mod`: a go.mod here names its tool and what replaces modules, and leaves the other versions to those that the tool requires.
  CGO_ENABLED=0 go build -mod=mod -buildvcs=false -trimpath -ldflags '-s -w' -o "$program.part" tool
  mv "$program.part" "$program"
  chmod -R u+w "$work"
  rm -rf "$work"
}

[ -e "$program" ] || build
echo "$program"
