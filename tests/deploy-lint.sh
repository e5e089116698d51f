#!/usr/bin/env bash
# Checks the files of deploy/ with the programs that read them: systemd-analyze, and Docker Compose where its client is there.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=packages.sh
. tests/packages.sh
# The most that `systemd-analyze security` may find exposed, of 100.
exposure=20

ensure systemd-analyze=systemd
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unit=$scratch/notification-hub.service
# The program is not installed here.
sed 's|/usr/bin/notification-hub|/bin/true|' deploy/systemd/notification-hub.service > "$unit"
# It warns of some errors and succeeds.
systemd-analyze verify "$unit" 2>&1 | tee "$scratch/warnings"
[ ! -s "$scratch/warnings" ]
systemd-analyze security --offline=yes --threshold=$exposure "$unit" > "$scratch/exposure" || { cat "$scratch/exposure"; exit 1; }
tail -n 1 "$scratch/exposure"

if docker compose version > /dev/null 2>&1; then
  for file in compose compose.replicas; do
    NOTIFICATION_HUB_IMAGE=notification-hub docker compose --file "deploy/compose/$file.yaml" config --quiet
    if docker compose --file "deploy/compose/$file.yaml" config --quiet 2> "$scratch/refused"; then
      echo "$file.yaml is accepted without NOTIFICATION_HUB_IMAGE" >&2
      exit 1
    fi
    grep -q 'NOTIFICATION_HUB_IMAGE.*build the image' "$scratch/refused"
  done
else
  echo "skipped: docker compose config, because this machine has no Docker Compose (tests/tests/deploy_files.rs reads the files)"
fi
