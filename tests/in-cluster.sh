#!/usr/bin/env bash
# Runs a command with a cluster that has the images loaded: one made for it, or with CLUSTER=current kubectl's context.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "${CLUSTER-}" = current ]; then exec "$@"; fi
if [ -z "${CLUSTER_LOADED-}" ]; then CLUSTER_LOADED=yes exec "$here/cluster/cluster.sh" run "$0" "$@"; fi
"$here/cluster/cluster.sh" load "${CARGO_TARGET_DIR:-$(dirname "$here")/target}"/images/{hub,operator,azurite,redis}.tar
exec "$@"
