# The node: containerd, kubelet, kube-proxy, and CoreDNS as a process beside them.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

start_containerd() {
  mkdir -p "$RUN/cni"
  cat >"$RUN/cni/10-pods.conflist" <<JSON
{"cniVersion":"1.0.0","name":"pods","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_CIDR"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"$RUN/ipam"}},
 {"type":"portmap","capabilities":{"portMappings":true}}]}
JSON
  # restrict_oom_score_adj: root may lack CAP_SYS_RESOURCE.
  cat >"$RUN/containerd.toml" <<TOML
version = 3
root = "$RUN/containerd/root"
state = "$RUN/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.nri.v1.nri"]
[grpc]
  address = "$RUN/containerd.sock"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$RUN/cni"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
TOML
  start containerd "$BIN/containerd" --config "$RUN/containerd.toml"
}

containers() { "$BIN/ctr" -a "$RUN/containerd.sock" -n k8s.io "$@"; }

# The sandbox's process: Debian's catatonit can wait as pause does.
pause_image() {
  "$HERE/mkimage" localhost/pause:1 "$RUN/pause.tar" /usr/bin/catatonit:/pause -- /pause -P
  await containerd 30 containers version
  containers images import --local "$RUN/pause.tar" >/dev/null
}

# The kubelet wants its root to exist in every hierarchy (v1), or with the controllers handed down (v2).
make_cgroup() {
  local folder controller
  for folder in /sys/fs/cgroup/ /sys/fs/cgroup/*/; do
    [[ -e ${folder}cgroup.procs ]] && mkdir -p "$folder$CGROUP"
    [[ $folder != /sys/fs/cgroup/ || ! -e /sys/fs/cgroup/cgroup.controllers ]] || break
  done
  [[ -e /sys/fs/cgroup/cgroup.controllers ]] || return 0
  for folder in /sys/fs/cgroup "/sys/fs/cgroup/$CGROUP"; do
    for controller in $(<"$folder/cgroup.controllers"); do echo "+$controller" >"$folder/cgroup.subtree_control" || true; done
  done
}

start_kubelet() {
  make_cgroup
  cat >"$RUN/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$RUN/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
failCgroupV1: false
failSwapOn: false
clusterDNS: ["$DNS_IP"]
clusterDomain: cluster.local
tlsCertFile: $RUN/pki/kubelet.crt
tlsPrivateKeyFile: $RUN/pki/kubelet.key
podLogsDir: $RUN/log/pods
volumePluginDir: $RUN/flexvolumes
maxPods: 250
resolvConf: ""
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
localStorageCapacityIsolation: false
evictionHard: {memory.available: 50Mi, nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
YAML
  start kubelet "$BIN/kubelet" --config="$RUN/kubelet.yaml" --kubeconfig="$RUN/kubelet.kubeconfig" --root-dir="$RUN/kubelet" \
    --hostname-override=node0 --node-ip="$NODE_IP"
}

start_kube_proxy() {
  cat >"$RUN/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $RUN/proxy.kubeconfig}
mode: iptables
nodePortAddresses: [primary]
hostnameOverride: node0
clusterCIDR: $POD_CIDR
conntrack: {maxPerCore: 0, min: 0}
YAML
  start kube-proxy "$BIN/kube-proxy" --config="$RUN/proxy.yaml"
}

# Behind a Service without a selector. The Corefile is kubeadm's, less what forwards to an outside: names are cached 30 s.
start_dns() {
  cat >"$RUN/Corefile" <<CONF
.:53 {
  bind $NODE_IP
  errors
  ready $NODE_IP:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $RUN/dns.kubeconfig
    pods insecure
    ttl 30
  }
  cache 30
  loadbalance
}
CONF
  kubectl apply -f - >/dev/null <<YAML
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: coredns}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: coredns}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $DNS_IP, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$NODE_IP], conditions: {ready: true}}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
YAML
  start coredns "$BIN/coredns" -conf "$RUN/Corefile"
}
