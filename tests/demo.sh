#!/usr/bin/env bash
# A demo from an empty machine to a delivered push: a Kubernetes cluster, the images, the chart, a NotificationHub, a
# client and a push. Then the hub is reachable on a local port until Ctrl-C.
#
#   DEMO=once           ends with exit status 0 once the push has arrived
#   CLUSTER=current     uses the current context of kubectl; HUB_IMAGE and OPERATOR_IMAGE name images that it can pull
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$here")
target=${CARGO_TARGET_DIR:-$project/target}
namespace=notification-hub-demo system=notification-hub-system release=notification-hub-operator
own_cluster=true
[ "${CLUSTER-}" != current ] || own_cluster=false
. "$here/packages.sh"
. "$here/line.sh"

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
show() { echo "  \$ $*"; "$@" | sed 's/^/    /'; }

# Runs a command with access to the cluster.
inside() { if $own_cluster; then "$here/cluster/cluster.sh" exec "$@"; else command "$@"; fi; }
kubectl() { inside kubectl "$@"; }
helm() { inside helm "$@"; }

if $own_cluster && [ -z "${DEMO_IN_CLUSTER-}" ]; then
  say "A Kubernetes on this machine, in namespaces of its own"
  DEMO_IN_CLUSTER=yes exec "$here/cluster/cluster.sh" run "$0"
fi

scratch=$(mktemp -d)
jobs=() made_namespace=false made_release=false
finish() {
  local job
  for job in "${jobs[@]}"; do kill "$job" 2>/dev/null || true; done
  wait
  # A user's own cluster is restored, except for the CRD, which the chart keeps.
  if ! $own_cluster; then
    if $made_namespace; then kubectl delete namespace "$namespace"; fi
    if $made_release; then helm uninstall "$release" --namespace "$system"; fi
  fi
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

say "The clients and the programs"
toolchain cargo node npm
"$here/clients/install.sh"
images=()
if $own_cluster; then
  "$here/images.sh"
  "$here/cluster/cluster.sh" load "$target"/images/{hub,operator}.tar
  HUB_IMAGE=nhub.test/hub:test OPERATOR_IMAGE=nhub.test/operator:test
else
  (cd "$project" && cargo build --locked --workspace --bins)
fi
image() { # value of the chart, REPOSITORY:TAG or nothing
  [ -z "$2" ] || images+=(--set-string "$1.registry=" --set-string "$1.repository=${2%:*}" --set-string "$1.tag=${2##*:}")
}
image image "${OPERATOR_IMAGE-}"
image hubImage "${HUB_IMAGE-}"
hub=$target/debug/notification-hub

say "The operator, from its chart"
if helm status "$release" --namespace "$system" > /dev/null 2>&1; then
  echo "  is installed already and stays as it is"
else
  made_release=true
  show helm install "$release" "$project/charts/$release" --namespace "$system" --create-namespace --wait --timeout 2m "${images[@]}"
fi

say "A NotificationHub"
sed 's/^/    /' "$project/crds/samples/minimal.yaml"
kubectl create namespace "$namespace" > /dev/null
made_namespace=true
show kubectl apply --namespace "$namespace" -f "$project/crds/samples/minimal.yaml"
show kubectl wait --namespace "$namespace" --for=condition=Ready --timeout=2m notificationhub/vault
show kubectl get --namespace "$namespace" notificationhubs

say "Tokens, signed with the key that the operator has made"
kubectl get secret --namespace "$namespace" vault-jwt -o go-template='{{index .data "private.pem" | base64decode}}' > "$scratch/private.pem"
user=$(cat /proc/sys/kernel/random/uuid)
user_token=$("$hub" token --key "$scratch/private.pem" --user "$user")
internal_token=$("$hub" token --key "$scratch/private.pem" --scope internal)
echo "  of the user $user, and of the sender"

# bridge SERVICE PORT: forwards a local port, whose number it stores in $local_port, to a port of a Service.
bridge() {
  local out=$scratch/$1.out job
  if $own_cluster; then
    "$here/cluster/cluster.sh" exec node "$here/clients/bridge.mjs" --listen "$scratch/$1.sock" --connect "$1.$namespace.svc:$2" \
      > "$scratch/$1.inside" 2>&1 &
    jobs+=($!)
    line "$scratch/$1.inside" listening $! > /dev/null
    node "$here/clients/bridge.mjs" --listen 127.0.0.1:0 --connect "$scratch/$1.sock" > "$out" 2>&1 &
    job=$!
    local_port=$(line "$out" listening "$job" | grep -o '[0-9]*')
  else
    env kubectl port-forward --namespace "$namespace" "service/$1" ":$2" > "$out" 2>&1 &
    job=$!
    local_port=$(line "$out" 'Forwarding from 127' "$job" | sed 's/.*127.0.0.1:\([0-9]*\).*/\1/')
  fi
  jobs+=("$job")
}
bridge vault 5000
url=http://127.0.0.1:$local_port
bridge vault-internal 5001
send_url=http://127.0.0.1:$local_port

say "Microsoft's SignalR client connects to $url"
mkfifo "$scratch/open"
node "$here/clients/listen.mjs" --url "$url" --token "$user_token" < "$scratch/open" > "$scratch/client" 2>&1 &
client=$!
jobs+=("$client")
exec 8> "$scratch/open" # the client runs while its input is open
line "$scratch/client" connected "$client" > /dev/null
echo "  connected"

say "A push is posted to $send_url/send"
"$hub" push --url "$send_url" --token "$internal_token" --type SyncCipherUpdate --user "$user"
line "$scratch/client" ReceiveMessage "$client" > "$scratch/received"
say "The push has arrived:"
sed 's/^/  /' "$scratch/received"

if [ "${DEMO-}" = once ]; then exit 0; fi

say "The hub is at $url until Ctrl-C. To try it:"
cat <<T
  $hub listen --url $url --token $user_token

  $hub push --url $send_url --token $internal_token --type SyncVault --user $user

T
if $own_cluster; then
  echo "  CLUSTER_STATE=$CLUSTER_STATE $here/cluster/cluster.sh exec kubectl get notificationhubs --all-namespaces"
fi
wait "${jobs[0]}"
