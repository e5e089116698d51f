#!/usr/bin/env bash
# The first process of the cluster's namespaces, started by cluster.sh. When it ends, all processes in them end.
# Usage: node.sh STATE COMPONENTS
set -euo pipefail
state=$1 bin=$2
cgroup=/$(basename "$state")
case ${CLUSTER_IP_FAMILY:-ipv4} in
  # 198.18.0.0/15 is reserved for benchmarks, so it does not overlap a real network.
  ipv4) node=198.18.0.1 pods=198.18.0.0/24 services=198.19.0.0/16 api=198.19.0.1 everywhere=0.0.0.0/0 loopback=127.0.0.1 ;;
  # Local addresses (RFC 4193). Pods and Services have no others.
  ipv6) node=fd98:18::1 pods=fd98:18::/64 services=fd98:19::/112 api=fd98:19::1 everywhere=::/0 loopback=::1 ;;
  *) echo "CLUSTER_IP_FAMILY=$CLUSTER_IP_FAMILY: neither ipv4 nor ipv6" >&2; exit 2 ;;
esac

# Hides the machine's folders and settings that the components write.
shelter() {
  local folder file names
  names=$(realpath -m /etc/resolv.conf)
  for folder in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$folder"; done
  if [ -d /usr/libexec ]; then mount -t tmpfs tmpfs /usr/libexec; fi
  printf 'nameserver %s\nsearch cluster.local\noptions ndots:5\n' "$node" > resolv.conf
  [ -e "$names" ] || { mkdir -p "$(dirname "$names")"; touch "$names"; }
  mount --bind resolv.conf "$names"
  # The kubelet writes these settings, which apply to the whole machine.
  mkdir sysctl
  for file in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    cat "/proc/sys/$file" > "sysctl/${file//\//.}"
    mount --bind "sysctl/${file//\//.}" "/proc/sys/$file"
  done
}

certificate() { # name subject alternative-names
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "pki/$1.key" -out "pki/$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "pki/$1.csr" -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days 365 -out "pki/$1.crt" \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3") 2>/dev/null
}

kubeconfig() { # name
  cat > "$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: nhub, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $state/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $state/pki/$1.crt, client-key: $state/pki/$1.key}}]
contexts: [{name: nhub, context: {cluster: nhub, user: $1}}]
current-context: nhub
K
}

keys() {
  mkdir pki
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout pki/ca.key -out pki/ca.crt -days 365 -subj /CN=nhub-test-ca 2>/dev/null
  openssl genrsa -out pki/sa.key 2048 2>/dev/null
  certificate apiserver /CN=kube-apiserver "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$node,IP:$api"
  certificate admin /O=system:masters/CN=admin DNS:admin
  certificate aggregator /CN=aggregator DNS:aggregator
  certificate node1 /O=system:nodes/CN=system:node:node1 "DNS:node1,IP:$node"
  kubeconfig admin
  kubeconfig node1
}

pause_image() { # the image that holds a pod's namespaces, from a program of one line
  local buildah=(buildah --storage-driver vfs --root "$state/images" --runroot "$state/images.run")
  echo 'int pause(void); int main(){for(;;)pause();}' | gcc -static -Os -x c -o pause -
  printf 'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n' > Pausefile
  "${buildah[@]}" bud -q --isolation chroot -f Pausefile -t nhub.test/pause:1 .
  "${buildah[@]}" push -q nhub.test/pause:1 oci-archive:pause.tar:nhub.test/pause:1
}

configure() {
  cat > containerd.toml <<C
version = 2
root = "$state/containerd/root"
state = "$state/containerd/state"
[grpc]
  address = "$state/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "nhub.test/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
C
  mkdir cni
  cat > cni/10-bridge.conflist <<C
{"cniVersion":"0.4.0","name":"pods","plugins":[
 {"type":"bridge","bridge":"br0","isGateway":true,"ipMasq":false,"hairpinMode":true,
  "ipam":{"type":"host-local","dataDir":"$state/ipam","ranges":[[{"subnet":"$pods"}]],"routes":[{"dst":"$everywhere"}]}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
C
  cat > kubelet.yaml <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $state/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $state/pki/node1.crt
tlsPrivateKeyFile: $state/pki/node1.key
clusterDNS: ["$node"]
clusterDomain: cluster.local
resolvConf: ""
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://$state/containerd.sock
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", memory.available: "50Mi"}
podLogsDir: $state/podlogs
volumePluginDir: $state/volume-plugins
syncFrequency: 1s
crashLoopBackOff: {maxContainerRestartPeriod: 1s}
makeIPTablesUtilChains: false
K
  cat > Corefile <<C
.:53 {
  bind $node
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $state/admin.kubeconfig nhub
  }
}
C
}

network() {
  ip link set lo up
  echo 1 > /proc/sys/net/ipv4/ip_forward
  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
  ip link add br0 type bridge
  # At once, without a search for other users of an IPv6 address.
  ip addr add "$node/${pods#*/}" dev br0 nodad
  ip link set br0 up
  ip route add $services dev br0 # any route will do: the address is translated before it is used
}

start() { # name command...
  local name=$1
  shift
  "$@" > "logs/$name.log" 2>&1 &
}

until_it() { until "$@" > /dev/null 2>&1; do sleep 0.1; done; } # cluster.sh has the deadline

components() {
  local etcd=http://127.0.0.1:2379
  start containerd containerd -c containerd.toml
  start etcd etcd --data-dir="$state/etcd" --listen-client-urls=$etcd --advertise-client-urls=$etcd --listen-peer-urls=http://127.0.0.1:2380 --unsafe-no-fsync
  start apiserver kube-apiserver --etcd-servers=$etcd --advertise-address="$node" --secure-port=6443 --tls-cert-file=pki/apiserver.crt \
    --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt --kubelet-client-certificate=pki/admin.crt \
    --kubelet-client-key=pki/admin.key --kubelet-preferred-address-types=InternalIP --service-account-key-file=pki/sa.key \
    --service-account-signing-key-file=pki/sa.key --service-account-issuer=https://kubernetes.default.svc \
    --service-cluster-ip-range=$services --authorization-mode=Node,RBAC --allow-privileged=true \
    --requestheader-client-ca-file=pki/ca.crt --requestheader-allowed-names=aggregator --requestheader-username-headers=X-Remote-User \
    --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file=pki/aggregator.crt --proxy-client-key-file=pki/aggregator.key
  pause_image
  until_it kubectl get --raw /readyz
  start controller-manager kube-controller-manager --kubeconfig=admin.kubeconfig --service-account-private-key-file=pki/sa.key \
    --root-ca-file=pki/ca.crt --use-service-account-credentials --leader-elect=false --bind-address=127.0.0.1 \
    --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key
  start scheduler kube-scheduler --kubeconfig=admin.kubeconfig --leader-elect=false --bind-address=127.0.0.1
  start coredns coredns -conf Corefile
  until_it ctr -a containerd.sock version
  ctr -a containerd.sock -n k8s.io images import pause.tar
  start kubelet kubelet --config=kubelet.yaml --kubeconfig=node1.kubeconfig --hostname-override=node1 --node-ip="$node" --root-dir="$state/kubelet" --cert-dir="$state/pki"
  # kube-proxy waits for the node's address, which the kubelet sets, without a log line.
  start proxy kube-proxy --kubeconfig=admin.kubeconfig --hostname-override=node1 --proxy-mode=iptables --cluster-cidr=$pods --bind-address=$loopback \
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
  until_it kubectl wait --for=condition=Ready node/node1 --timeout=1s
  until_it getent hosts kubernetes.default.svc
  until_it kubectl get --namespace default serviceaccount default
}

cd "$state"
export PATH=$bin:$PATH KUBECONFIG=$state/admin.kubeconfig KUBECACHEDIR=$state/cache
mkdir logs
shelter
network
keys
configure
components
touch ready
wait
