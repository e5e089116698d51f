#!/usr/bin/env bash
# The notifications of a Bitwarden, with a Notification Hub in the place of the original, as processes of this machine:
#
#   run.sh queue       as in the cloud: pushes wait in an Azure Storage queue, from which the hub receives
#   run.sh direct      as self-hosted: pushes are posted to the hub
#
# Ends with exit status 0 once the push has arrived. HUB names a program that is not to be built first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
clients=$project/tests/clients
hub=${HUB-}
mode=${1:-queue}
case $mode in queue | direct) ;; *) echo "usage: run.sh [queue|direct]" >&2 && exit 2 ;; esac
# shellcheck source=../../tests/packages.sh
. "$project/tests/packages.sh"
# shellcheck source=../../tests/line.sh
. "$project/tests/line.sh"

say() { printf '\n%s\n' "$*"; }

scratch=$(mktemp -d)
jobs=()
finish() {
  local job
  for job in "${jobs[@]}"; do kill "$job" 2> /dev/null || true; done
  wait 2> /dev/null
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The client goes on for as long as its input is open.
mkfifo "$scratch/input"
exec 8<> "$scratch/input"

# start NAME COMMAND... : runs a program beside this one, with its output in a file. The kernel ends it with this one.
start() {
  setpriv --pdeathsig TERM -- "${@:2}" <&8 > "$scratch/$1" 2>&1 &
  jobs+=($!)
}

# told NAME PATTERN : waits for such a line of the program that was started last, and prints it.
told() { line "$scratch/$1" "$2" "${jobs[-1]}"; }

# listening NAME PATTERN : the URL that the program tells of in such a line.
listening() { told "$1" "$2" | grep -o 'http://127[0-9.:]*' | head -n 1; }

# random : thirty-two bytes in Base64.
random() { head -c 32 /dev/urandom | base64; }

say "1. The programs"
toolchain node npm
ensure setpriv=util-linux
"$clients/install.sh"
if [ -z "$hub" ]; then
  toolchain cargo
  (cd "$project" && cargo build --locked --workspace --bins)
  hub=${CARGO_TARGET_DIR:-$project/target}/debug/notification-hub
fi
"$hub" --version

say "2. An identity server"
secret=$(random) # Bitwarden's globalSettings__internalIdentityKey, which the hub need not know
start identity env IDENTITY_SECRET="$secret" node "$here/identity.mjs"
identity=$(listening identity listening)
echo "it is at $identity"

if [ "$mode" = queue ]; then
  say "3. A storage account with the queue 'notifications': Azurite"
  key=$(random)
  start azurite env AZURITE_ACCOUNTS="example:$key" "$clients/node_modules/.bin/azurite-queue" \
    --queuePort 0 --inMemoryPersistence --skipApiVersionCheck --disableTelemetry
  storage=$(listening azurite 'successfully listens')
  connection="AccountName=example;AccountKey=$key;QueueEndpoint=$storage/example"
  CONNECTION_STRING=$connection node "$here/create-queue.mjs" notifications
  echo "it is at $storage"
  settings=("globalSettings__notifications__connectionString=$connection")
else
  say "3. No queue: self-hosted"
  settings=("globalSettings__selfHosted=true")
fi

say "4. The hub, with Bitwarden's names for settings and nothing else in its environment. What it makes of them:"
settings+=(
  "globalSettings__baseServiceUri__internalIdentity=$identity"
  "ASPNETCORE_URLS=http://127.0.0.1:0"
)
env -i "${settings[@]}" "$hub" check-config | sed '/# default$/d'
# The original has one port. Those beside it have to be free on this machine; in a container nothing is said of them.
start hub env -i "${settings[@]}" "$hub" --listen-internal 127.0.0.1:0 --listen-admin 127.0.0.1:0
url=http://$(told hub listening | grep -o '"public":"[^"]*"' | cut -d '"' -f 4)
told hub 'identity server keys loaded' > /dev/null
echo "it is at $url"

user=$(cat /proc/sys/kernel/random/uuid)
say "5. Microsoft's SignalR client, as the user $user"
start client node "$clients/listen.mjs" --url "$url" --token "$(node "$here/login.mjs" "$identity" "$user")"
told client connected

say "6. A push to that user"
push=(push --type SyncCipherUpdate --user "$user")
if [ "$mode" = queue ]; then
  "$hub" "${push[@]}" --queue "$connection"
  echo "it is in the queue"
else
  NOTIFICATION_HUB_CLIENT_SECRET=$secret "$hub" "${push[@]}" --url "$url" --identity "$identity"
  echo "the hub has taken it"
fi
told client '"Type":0' > "$scratch/received"
say "It has arrived:"
cat "$scratch/received"
