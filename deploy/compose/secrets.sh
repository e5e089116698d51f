#!/usr/bin/env bash
# Writes the secrets of compose.replicas.yaml: the password of Redis, and the key of connection tokens.
# Usage: secrets.sh [FOLDER], by default `secrets` beside this script
set -euo pipefail
folder=${1:-$(dirname "$0")/secrets}
if [ -e "$folder" ]; then
  echo "secrets.sh: $folder exists; remove it first, or keep its secrets" >&2
  exit 1
fi

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

mkdir -p "$folder"
# Compose mounts the files as they are, and the containers run as the user 65532. Only this folder is closed for others.
chmod 700 "$folder"
password=$(random)
# The rights that docs/configuration.md lists.
cat > "$folder/redis-users" << END
user default off
user hub on >$password resetchannels &NotificationsBit.* resetkeys ~Notifications:catch-up:* -@all +publish +subscribe +unsubscribe +ping +info +time +eval +get +mget +set +del +select
END
cat > "$folder/hub.toml" << END
backplane.redis.username = "hub"
backplane.redis.password = "$password"
END
random > "$folder/connection-tokens"
chmod 644 "$folder"/*
