#!/usr/bin/env bash
# Builds metrics-server, which serves the metrics of pods to autoscalers, unless it exists. Prints its path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=0.9.0
folder=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/notification-hub/metrics-server-$version
. "$here/packages.sh"

build() {
  toolchain go
  mkdir -p "$(dirname "$folder")"
  # Several runs may need it at the same time.
  exec 9> "$folder.lock"
  flock 9
  [ ! -e "$folder/metrics-server" ] || return 0
  echo "building metrics-server $version, once: three minutes on two cores" >&2
  rm -rf "$folder.part"
  CGO_ENABLED=0 GOBIN=$folder.part go install -trimpath -ldflags '-s -w' \
    "sigs.k8s.io/metrics-server/cmd/metrics-server@v$version"
  mv -T "$folder.part" "$folder"
}

[ -e "$folder/metrics-server" ] || build
echo "$folder/metrics-server"
