# shellcheck shell=bash
# Sourced by cluster.sh. Builds the programs of the cluster from source, into a cache outside of the checkout.

: "${here:?the folder of this script}"
kubernetes=1.35.4 coredns=1.14.2 helm=4.2.4

# Prints the folder of the built programs. Its name has a hash of their sources and versions.
components_folder() {
  local sources
  sources=$(cat "$here"/components/{go.mod,go.sum,main.go} - <<< "$kubernetes $coredns $helm" | sha256sum | cut -c1-12)
  echo "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/notification-hub/cluster-$sources"
}

# Builds the programs unless they exist. If several runs need them, one builds and the others wait.
build() {
  local bin part
  bin=$(components_folder)
  [ ! -e "$bin/helm" ] || return 0
  toolchain go
  mkdir -p "$(dirname "$bin")"
  exec 9> "$bin.lock"
  flock -n 9 || { say "waiting for another build of the components"; flock 9; }
  if [ ! -e "$bin/helm" ]; then
    say "building the components of Kubernetes, once: about ten minutes on two cores"
    part=$bin.part
    rm -rf "$part"; mkdir "$part"
    (build_into "$part")
    mv "$part" "$bin"
    say "the components are in $bin"
  fi
  exec 9>&-
}

build_into() { # folder
  local version=k8s.io/component-base/version name
  export CGO_ENABLED=0 GOBIN=$1
  building "etcd, Kubernetes $kubernetes" "$1" go -C "$here/components" build -v -buildvcs=false -trimpath -ldflags "-s -w \
    -X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${kubernetes:2:2} \
    -X $version.gitCommit=v$kubernetes -X $version.gitTreeState=clean -X $version.buildDate=2026-01-01T00:00:00Z" -o "$1/kubernetes" .
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do ln -s kubernetes "$1/$name"; done
  building "CoreDNS $coredns" "$1" go install -v -trimpath -ldflags '-s -w' "github.com/coredns/coredns@v$coredns"
  # Helm is built last: `build` takes its program as the mark of a complete build.
  building "Helm $helm" "$1" go install -v -trimpath -ldflags '-s -w' "helm.sh/helm/v4/cmd/helm@v$helm"
}

building() { # what folder command... : runs the command and tells every 20 s how far it is
  local what=$1 log=$2/build.log began=$SECONDS job; shift 2
  say "building $what"
  "$@" > "$log" 2>&1 &
  job=$!
  trap 'kill "$job" 2>/dev/null' EXIT
  while kill -0 "$job" 2>/dev/null; do
    timeout 20 tail --pid="$job" -f /dev/null || say "  $((SECONDS - began)) s, $(wc -l < "$log") steps, at $(tail -n 1 "$log")"
  done
  trap - EXIT
  wait "$job" || { tail -n 20 "$log" >&2; fail "$what cannot be built"; }
  say "  done in $((SECONDS - began)) s"
}
