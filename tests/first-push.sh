#!/usr/bin/env bash
# A first push on this machine: compiles the hub, starts it with keys of its own, connects a client as a user, and pushes to that user.
# Ends once the push has arrived.
#
#   HUB=FILE    the program, instead of compiling it
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$here")
. "$here/packages.sh"
. "$here/line.sh"

if [ -z "${HUB-}" ]; then
  toolchain cargo
  (cd "$project" && cargo build --locked --package notification-hub)
  HUB=${CARGO_TARGET_DIR:-$project/target}/debug/notification-hub
fi

scratch=$(mktemp -d)
jobs=()
finish() {
  local job
  for job in "${jobs[@]}"; do kill "$job" 2> /dev/null || true; done
  wait
  rm -rf "$scratch"
}
trap finish EXIT

"$HUB" dev --json > "$scratch/hub" 2> "$scratch/hub.log" &
jobs+=($!)
started=$(line "$scratch/hub" sendUrl $!)
value() { # the text of a member of the line
  local rest=${started#*\""$1"\":\"}
  echo "${rest%%\"*}"
}
echo "A hub for clients at $(value url) and for senders at $(value sendUrl)"

NOTIFICATION_HUB_TOKEN=$(value userToken) "$HUB" listen --url "$(value url)" > "$scratch/client" 2> "$scratch/client.log" &
jobs+=($!)
line "$scratch/client.log" connected $! > /dev/null
echo "A client is connected as the user $(value user)"

NOTIFICATION_HUB_TOKEN=$(value internalToken) "$HUB" push --url "$(value sendUrl)" --type SyncVault --user "$(value user)"
line "$scratch/client" ReceiveMessage "${jobs[1]}" > "$scratch/received"
echo "The client has received the push:"
sed 's/^/  /' "$scratch/received"
