# What is asked of a cluster that is up.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

nodes() { # prints the names of those that were booted
  local folder
  echo node0
  for folder in "$RUN"/node[1-9]; do [[ ! -d $folder ]] || echo "${folder##*/}"; done
}

check_node() { # NODE
  local there; there=$(nodes | xargs)
  [[ " $there " == *" $1 "* ]] || die "there is no node $1 in this cluster; it has: $there"
}

node_process() { # NODE; prints the number of its first process, or says what to do
  local first; first=$(first_process)
  check_node "$1"
  [[ $1 != node0 ]] || { echo "$first"; return; }
  alive "$RUN/$1/pid" || die "the first process of $1 has ended; see: cluster logs init $1"
}

run_on() { # NODE CMD...
  local process
  (($# > 1)) || die "run what, and where? cluster run-on NODE CMD..."
  process=$(node_process "$1"); shift
  # Every cluster has the same address: what kubectl remembers of one is not true of another.
  KUBECONFIG=$RUN/admin.kubeconfig KUBECACHEDIR=$RUN/kubectl-cache PATH=$BIN:$PATH exec nsenter -t "$process" -n -- "$@"
}

run() {
  (($#)) || die "run what? cluster run CMD..."
  run_on node0 "$@"
}

shell() { run "${SHELL:-/bin/bash}"; }

image() { # NAME TAR
  local name=${1:-} tar=${2:-} node loading=() failed=
  first_process >/dev/null
  [[ -n $name && -r $tar ]] || die "usage: cluster image NAME TAR, and TAR must be readable"
  for node in $(nodes); do load_image "$node" & loading+=($!); done
  for node in "${loading[@]}"; do wait "$node" || failed=yes; done
  [[ -z $failed ]] || exit 1 # load_image has said why
  log "loaded $name"
}

load_image() { # NODE; name and tar from image
  local process ctr said end=$((SECONDS + 10)) socket=$RUN/containerd.sock
  process=$(node_process "$1")
  [[ $1 == node0 ]] || socket=$RUN/$1/containerd.sock
  ctr=(nsenter -t "$process" -n -m -p -- "$BIN/ctr" -a "$socket" -n k8s.io)
  said=$("${ctr[@]}" images import --local - <"$tar" 2>&1) || die "containerd of $1 refuses $tar: $said"
  [[ -n $("${ctr[@]}" images list --quiet "name==$name" 2>/dev/null) ]] || die "$tar does not hold an image named $name"
  # The kubelet sees the image when containerd has labelled it for Kubernetes.
  until "${ctr[@]}" images list "name==$name" 2>/dev/null | grep -q io.cri-containerd.image=managed; do
    ((SECONDS < end)) || die "containerd's Kubernetes side on $1 does not take $name; see: cluster logs containerd $1"
    sleep 0.05
  done
}

components() { # NAME NODE; prints the numbers of the processes of that program on that node
  local node process parent
  node=/proc/$(node_process "$2") || exit
  for process in /proc/[0-9]*; do
    [[ $process/exe -ef $BIN/$1 && $process/ns/pid -ef $node/ns/pid && $process/ns/net -ef $node/ns/net ]] || continue
    # Not a child that is about to become another program: it would stay stopped when the component goes on.
    parent=$(awk '$1 == "PPid:" { print $2 }' "$process/status" 2>/dev/null) || continue
    [[ /proc/$parent/exe -ef $BIN/$1 ]] || echo "${process#/proc/}"
  done
}

machine() { # CGROUP; prints the numbers of the processes in the namespaces that send_machine holds, and of those in its pods
  local process
  for process in /proc/[0-9]*; do
    [[ $process/ns/pid -ef /proc/self/fd/$processes && $process/ns/net -ef /proc/self/fd/$network ]] && echo "${process#/proc/}"
  done
  grep -ls ":/$1/kubepods/" /proc/[0-9]*/cgroup | cut -d/ -f3
}

# Again for what was started meanwhile, until nothing new is there.
send_machine() { # SIGNAL NODE
  local first cgroup processes network found='' before=none
  first=$(node_process "$2")
  cgroup=$(be_node "${2#node}"; echo "$NODE_CGROUP")
  # Held, because the process may be the first that dies.
  exec {processes}<"/proc/$first/ns/pid" {network}<"/proc/$first/ns/net"
  until [[ $found == "$before" ]]; do
    before=$found
    found=$(machine "$cgroup" | sort -u) || true # grep complains of processes that have just ended
    xargs --no-run-if-empty kill -s "$1" <<<"$found" 2>/dev/null || true # and so does kill
  done
}

send() { # SIGNAL NAME [NODE]
  local found
  (($# > 1)) || die "which component? cluster logs lists them"
  [[ $2 != all ]] || { send_machine "$1" "${3:-node0}"; return; }
  found=$(components "$2" "${3:-node0}") || exit
  [[ -n $found ]] || die "no component $2 is running on ${3:-node0}; cluster logs lists them"
  xargs kill -s "$1" <<<"$found"
}

logs() { # [NAME [NODE]]
  local folder=$RUN/log
  [[ -d $folder ]] || die "there are no logs in $RUN"
  if (($# == 0)); then
    (cd "$folder" && printf '%s\n' *.log node[1-9]/*.log | sed -n 's,^\(node[1-9]\)/\(.*\).log$,\2 \1,p; t; s/[.]log$//p')
    return
  fi
  [[ ${2:-node0} == node0 ]] || { check_node "$2"; folder+=/$2; }
  [[ -f $folder/$1.log ]] || die "there is no log of $1 on ${2:-node0}; cluster logs lists those that there are"
  cat "$folder/$1.log"
}
