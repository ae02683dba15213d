# The first process of the namespaces: everything in the cluster is below it, so its end is the end of everything.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

# Starts a component and starts it again when it ends, as systemd would on a real node.
start() { # NAME CMD...
  local name=$1; shift
  supervise "$LOGS$name" "$@" >>"$RUN/log/$LOGS$name.log" 2>&1 </dev/null &
}

supervise() { # NAME CMD...
  local name=$1 code; shift
  while :; do
    code=0; "$@" || code=$?
    # Before the cluster is ready, an end is a mistake that no repetition heals.
    [[ -e $RUN/ready ]] || { echo "$name ended with $code" >"$RUN/failed"; return; }
    echo "$name ended with $code; starting it again in a second"
    sleep 1
  done
}

await() { # WHAT SECONDS CMD...
  local what=$1 end=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    [[ ! -e $RUN/failed ]] || return 1
    ((SECONDS < end)) || { echo "$LOGS$what did not come up" >"$RUN/failed"; return 1; }
    sleep 0.1
  done
  echo "$what after $SECONDS s"
}

network() { # DEVICE, which has the node's address
  ip link set lo up
  ip addr add "$NODE_IP/24" dev "$1"
  ip link set "$1" up
  ip route add default dev "$1" # some clients look for one; it leads nowhere
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

# Mounts over what the node's programs would write outside $RUN. They vanish with the namespace.
private_files() {
  local folder setting file
  mount -n --make-rprivate /
  # /run anew, with $RUN in it: the descriptor keeps hold of the directory that the host sees.
  exec {folder}<"$RUN"
  mount -n -t tmpfs -o mode=755 tmpfs /run
  mkdir -p "$RUN"
  mount -n --no-canonicalize --bind "/proc/self/fd/$folder" "$RUN"
  exec {folder}<&-
  mount -n -t proc proc /proc
  # Device plugin sockets and links to logs stand at fixed places.
  for folder in /var/lib /var/log; do
    mkdir -p "$NODE_DIR/over$folder"/{upper,work}
    mount -n -t overlay overlay -o "lowerdir=$folder,upperdir=$NODE_DIR/over$folder/upper,workdir=$NODE_DIR/over$folder/work" "$folder"
  done
  # The kubelet would set these for the whole machine; it reads here that they are set.
  mkdir "$NODE_DIR/sysctl"
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=$NODE_DIR/sysctl/$(basename "${setting%=*}")
    echo "${setting#*=}" >"$file"
    mount -n --bind "$file" "/proc/sys/${setting%=*}"
  done
}

listens() { (exec 3<>"/dev/tcp/$API_IP/$1"); }

boot() {
  mkdir -p "$RUN"/{log,etcd}
  be_node 0
  ip link add node0 type bridge
  network node0
  start_nodes # before this mount namespace and /proc are changed
  private_files
  start_etcd
  [[ -n $CONTROL_PLANE_ONLY ]] || start_containerd
  pki
  start_apiserver
  [[ -n $CONTROL_PLANE_ONLY ]] || pause_image 0
  await kube-apiserver 60 listens 6443 # asked first: a kubectl in vain takes the processor from what it waits for
  await kube-apiserver 60 kubectl get --raw /readyz --request-timeout=2s
  touch "$RUN/serving"
  start_controller_manager
  if [[ -z $CONTROL_PLANE_ONLY ]]; then
    start_scheduler
    start_kubelet
    start_kube_proxy
    start_dns
    await node 60 nodes_ready
    await coredns 30 dns_ready
  fi
  # Pods made before it exists are refused.
  await "default service account" 30 kubectl get serviceaccount default
}

# The verb that `up` starts; descriptor 9 is the instance's lock.
init() {
  local stat
  # /proc is still the host's: this is the number that the host knows us by.
  read -ra stat </proc/self/stat
  echo "${stat[0]} ${stat[21]}" >"$RUN/pid"
  flock -u 9 # not only closed: unshare holds it too
  exec 9<&-
  trap '[[ -e $RUN/failed ]] || echo "booting ended early" >"$RUN/failed"' EXIT
  export PATH=$BIN:$PATH KUBECONFIG=$RUN/admin.kubeconfig
  cd /
  boot
  touch "$RUN/ready"
  wait
}
