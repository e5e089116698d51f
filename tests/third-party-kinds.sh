#!/usr/bin/env bash
# Downloads the CRDs of kinds that a cluster may lack to target/third-party-kinds/*.yaml, unless they exist. Their projects
# publish them in Go modules.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${CARGO_TARGET_DIR:-$(dirname "$here")/target}/third-party-kinds
. "$here/packages.sh"

definitions=(
  sigs.k8s.io/gateway-api@v1.6.1:config/crd/standard/gateway.networking.k8s.io_backendtlspolicies.yaml
  sigs.k8s.io/gateway-api@v1.6.1:config/crd/standard/gateway.networking.k8s.io_gatewayclasses.yaml
  sigs.k8s.io/gateway-api@v1.6.1:config/crd/standard/gateway.networking.k8s.io_gateways.yaml
  sigs.k8s.io/gateway-api@v1.6.1:config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml
  sigs.k8s.io/gateway-api@v1.6.1:config/crd/standard/gateway.networking.k8s.io_httproutes.yaml
  sigs.k8s.io/gateway-api@v1.6.1:config/crd/standard/gateway.networking.k8s.io_referencegrants.yaml
  sigs.k8s.io/gateway-api@v1.6.1:config/crd/standard/gateway.networking.k8s.io_tlsroutes.yaml
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_probes.yaml
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_prometheuses.yaml
  github.com/prometheus-operator/prometheus-operator@v0.85.0:example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml
  github.com/kedacore/keda/v2@v2.18.1:config/crd/bases/keda.sh_scaledobjects.yaml
)

module_folder() { # module@version
  go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p'
}

made_of=$(printf '%s\n' "${definitions[@]}")
if [ "$made_of" = "$(cat "$folder/made-of" 2> /dev/null)" ]; then exit; fi
toolchain go
rm -rf "$folder"
mkdir -p "$folder"
for definition in "${definitions[@]}"; do
  module=${definition%%:*}
  install -m 644 "$(module_folder "$module")/${definition#*:}" "$folder/"
done
echo "$made_of" > "$folder/made-of"
echo "third-party kinds: $folder" >&2
