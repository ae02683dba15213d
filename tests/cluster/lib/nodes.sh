# The nodes after the first: each in network and mount namespaces of its own, below the same first process.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

numbers() { seq 0 $((NODES - 1)); }

# By the first process. Goes on when each node has its namespaces, so that they get the mounts and /proc of the host.
start_nodes() {
  local number
  ((NODES > 1)) || return 0
  join_bridges
  for number in $(numbers); do
    ((number)) || continue
    mkdir -p "$RUN/node$number" "$RUN/log/node$number"
    ip route add "10.244.$number.0/24" via "192.0.2.1$number"
    unshare --net --mount -- "$HERE/cluster" init-node "$number" >"$RUN/log/node$number/init.log" 2>&1 </dev/null &
  done
  for number in $(numbers); do
    ((number == 0)) || await "node$number" 30 test -s "$RUN/node$number/pid"
  done
}

# The bridge between the nodes is a switch: what passes from one node to another is none of the first node's rules'
# business. Its pods' bridge keeps them, as the kernel's default has it.
join_bridges() {
  ip link set node0 address 02:00:c0:00:02:0a # or it would change with each port
  echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
  ip link add cni0 type bridge nf_call_iptables 1
}

# A cable from this node to the bridge of the first process.
plug_in() {
  nsenter -t 1 -n -- ip -batch - <<BATCH
link add $NODE type veth peer name eth0 netns $$
link set $NODE master node0 up
BATCH
}

route_pods() { # to the other nodes'
  local number
  for number in $(numbers); do
    [[ node$number == "$NODE" ]] || ip route add "10.244.$number.0/24" via "192.0.2.1$number"
  done
}

# The verb that start_nodes starts.
init_node() { # NUMBER
  local stat
  read -ra stat </proc/self/stat # the number that the host knows this process by, as in init
  be_node "$1"
  trap '[[ -e $RUN/failed ]] || echo "${LOGS}init ended early" >"$RUN/failed"' EXIT
  export PATH=$BIN:$PATH KUBECONFIG=$RUN/admin.kubeconfig
  echo "${stat[0]} ${stat[21]}" >"$NODE_DIR/pid"
  private_files
  plug_in
  network eth0
  route_pods
  start_containerd
  pause_image "$1"
  await kube-apiserver 60 test -e "$RUN/serving"
  start_kubelet
  start_kube_proxy
  await kube-proxy 30 reaches_services
  touch "$NODE_DIR/ready"
  wait
}

# From this node's network, by the rules of its kube-proxy. Without them nothing answers, and saying so takes 3 s.
reaches_services() { timeout 0.5 bash -c "exec 3<>/dev/tcp/$API_SERVICE_IP/443"; }

# A single node's kube-proxy is not waited for: whatever needs it comes later.
nodes_ready() {
  local number names
  mapfile -t names < <(numbers | sed 's,^,node/node,')
  kubectl wait --for=condition=Ready "${names[@]}" --timeout=1s || return
  ((NODES > 1)) || return 0
  for number in $(numbers); do ((number == 0)) || [[ -e $RUN/node$number/ready ]] || return; done
  reaches_services
}
