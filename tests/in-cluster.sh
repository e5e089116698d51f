#!/usr/bin/env bash
# Runs a command with a new cluster that has the images, or with CLUSTER=current in the current context of kubectl.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "${CLUSTER-}" = current ]; then exec "$@"; fi
if [ -z "${CLUSTER_LOADED-}" ]; then CLUSTER_LOADED=yes exec "$here/cluster/cluster.sh" run "$0" "$@"; fi
"$here/cluster/cluster.sh" load "${CARGO_TARGET_DIR:-$(dirname "$here")/target}"/images/{hub,operator,azurite,redis}.tar
exec "$@"
