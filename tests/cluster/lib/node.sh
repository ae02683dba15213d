# A node: containerd, kubelet, kube-proxy. Which one, says be_node.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

# The names, addresses and directories of a node. Those of the first are a single cluster's.
be_node() { # NUMBER
  NODE=node$1 NODE_IP=192.0.2.1$1 POD_SUBNET=10.244.$1.0/24
  NODE_DIR=$RUN/$NODE NODE_CGROUP=$CGROUP/$NODE KUBELET=kubelet-$NODE LOGS=$NODE/
  (($1)) || NODE_DIR=$RUN NODE_CGROUP=$CGROUP KUBELET=kubelet LOGS=
  ((NODES > 1)) || POD_SUBNET=$POD_CIDR
}

start_containerd() {
  mkdir -p "$NODE_DIR/cni"
  cat >"$NODE_DIR/cni/10-pods.conflist" <<JSON
{"cniVersion":"1.0.0","name":"pods","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_SUBNET"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"$NODE_DIR/ipam"}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
JSON
  # restrict_oom_score_adj: root may lack CAP_SYS_RESOURCE.
  cat >"$NODE_DIR/containerd.toml" <<TOML
version = 3
root = "$NODE_DIR/containerd/root"
state = "$NODE_DIR/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.nri.v1.nri"]
[grpc]
  address = "$NODE_DIR/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$NODE_DIR/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
TOML
  start containerd "$BIN/containerd" --config "$NODE_DIR/containerd.toml"
}

containers() { "$BIN/ctr" -a "$NODE_DIR/containerd.sock" -n k8s.io "$@"; }

# The sandbox's process: Debian's catatonit can wait as pause does. Made by the first node, once.
pause_image() {
  (($1)) || "$HERE/mkimage" localhost/pause:1 "$RUN/pause.tar" /usr/bin/catatonit:/pause -- /pause -P
  await "pause image" 30 test -e "$RUN/pause.tar"
  await containerd 30 containers version
  containers images import --local "$RUN/pause.tar" >/dev/null
}

# The kubelet wants its root to exist in every hierarchy (v1), or with the controllers handed down (v2).
make_cgroup() {
  local folder controller
  for folder in /sys/fs/cgroup/ /sys/fs/cgroup/*/; do
    [[ -e ${folder}cgroup.procs ]] && mkdir -p "$folder$NODE_CGROUP"
    [[ $folder != /sys/fs/cgroup/ || ! -e /sys/fs/cgroup/cgroup.controllers ]] || break
  done
  [[ -e /sys/fs/cgroup/cgroup.controllers ]] || return 0
  for folder in /sys/fs/cgroup "/sys/fs/cgroup/$CGROUP" "/sys/fs/cgroup/$NODE_CGROUP"; do
    for controller in $(<"$folder/cgroup.controllers"); do echo "+$controller" >"$folder/cgroup.subtree_control" || true; done
  done
}

start_kubelet() {
  local zone=() lease=''
  ((NODES == 1)) || zone=(--node-labels="topology.kubernetes.io/zone=zone-${NODE#node}")
  # Its lease is renewed every quarter of its duration: eight times a grace period.
  [[ -z $NODE_GRACE ]] || lease="nodeLeaseDurationSeconds: $((NODE_GRACE / 2))
nodeStatusUpdateFrequency: $((NODE_GRACE / 4))s
nodeStatusReportFrequency: 5m"
  make_cgroup
  cat >"$NODE_DIR/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$NODE_DIR/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$NODE_CGROUP
failCgroupV1: false
failSwapOn: false
clusterDNS: ["$DNS_IP"]
clusterDomain: cluster.local
tlsCertFile: $RUN/pki/$KUBELET.crt
tlsPrivateKeyFile: $RUN/pki/$KUBELET.key
podLogsDir: $RUN/log/${LOGS}pods
volumePluginDir: $NODE_DIR/flexvolumes
maxPods: 250
resolvConf: ""
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
localStorageCapacityIsolation: false
evictionHard: {memory.available: 50Mi, nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
$lease
YAML
  start kubelet "$BIN/kubelet" --config="$NODE_DIR/kubelet.yaml" --kubeconfig="$RUN/$KUBELET.kubeconfig" --root-dir="$NODE_DIR/kubelet" \
    --hostname-override="$NODE" --node-ip="$NODE_IP" "${zone[@]}"
}

start_kube_proxy() {
  cat >"$NODE_DIR/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $RUN/proxy.kubeconfig}
mode: iptables
nodePortAddresses: [primary]
hostnameOverride: $NODE
clusterCIDR: $POD_CIDR
conntrack: {maxPerCore: 0, min: 0}
YAML
  start kube-proxy "$BIN/kube-proxy" --config="$NODE_DIR/proxy.yaml"
}
