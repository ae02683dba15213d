# One instance of the cluster as seen from outside: its lock, its first process, what it leaves behind.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

MARK=$RUN/.restart-controller-cluster # what stands in a directory without it is not ours to remove

# Serialises up and down. The lock is on the parent directory, so that no lock file stays behind; `up` hands it to the
# first process, which lets go once its number is on record: nobody can miss a process that is about to be recorded.
acquire() {
  mkdir -p "${RUN%/*}/"
  exec 9<"${RUN%/*}/"
  flock -w 60 9 || die "another cluster up or down holds ${RUN%/*} for more than 60 s"
}
release() { exec 9<&-; }

pid() { # prints the host's number of the first process, if it lives; called in a trap too, where a bare `return` means success
  local number start_time stat
  [[ -f $RUN/pid ]] && read -r number start_time <"$RUN/pid" || return 1
  { read -ra stat <"/proc/$number/stat"; } 2>/dev/null || return 1
  # The start time tells it from a later process of the same number; a zombie has already ended.
  [[ ${stat[21]} == "$start_time" && ${stat[2]} != [ZX] ]] && echo "$number"
}

check_directory() {
  [[ $RUN =~ ^[A-Za-z0-9/._-]+$ ]] || die "CLUSTER_RUN=$RUN: use letters, digits and / . _ - only, it goes into configuration files"
  ((${#RUN} <= 60)) || die "CLUSTER_RUN=$RUN is longer than 60 characters, too long for the sockets in it"
  [[ ! -e $RUN || -e $MARK || -z $(ls -A "$RUN") ]] || die "CLUSTER_RUN=$RUN holds files that are not a cluster's: name another directory"
}

cgroups() { # prints the instance's cgroup directories, innermost first
  local root
  for root in /sys/fs/cgroup/ /sys/fs/cgroup/*/; do
    [[ ! -d $root$CGROUP ]] || find "$root$CGROUP" -depth -type d
  done
}

end_processes() {
  local first end=$((SECONDS + 20))
  first=$(pid) || return 0
  kill -9 "$first"
  while pid >/dev/null; do ((SECONDS < end)) || die "process $first does not end"; sleep 0.02; done
}

remove() { # everything that a living or dead instance left; the lock is held
  local folder end=$((SECONDS + 20))
  check_directory
  end_processes
  # A process that has just been killed keeps its cgroup for a moment.
  while folder=$(cgroups) && [[ -n $folder ]]; do
    xargs rmdir <<<"$folder" 2>/dev/null || { ((SECONDS < end)) || die "cgroups stay in use: $folder"; sleep 0.02; }
  done
  rm -rf --one-file-system "$RUN"
}

boot_failed() {
  local name
  log "$(cat "$RUN/failed" 2>/dev/null || echo "the first process ended")"
  name=$(cut -d' ' -f1 "$RUN/failed" 2>/dev/null || true)
  tail -n 20 "$RUN/init.log" "$RUN/log/$name.log" >&2 2>/dev/null || true
  end_processes
  die "not up; the logs stay in $RUN/log until the next up or down"
}

await_ready() {
  until [[ -e $RUN/ready ]]; do
    if [[ -e $RUN/failed ]] || ! pid >/dev/null; then boot_failed; fi
    sleep 0.05
  done
}

up() {
  local missing starter began=${EPOCHREALTIME/./}
  need_root
  missing=$(missing_packages | xargs)
  [[ -z $missing ]] || die "missing packages: $missing. Run: cluster packages"
  build
  acquire
  if pid >/dev/null; then
    release
    await_ready
    log "already up in $RUN"
    return
  fi
  remove
  mkdir "$RUN"
  touch "$MARK"
  trap 'log interrupted; acquire; remove; exit 130' INT TERM
  setsid unshare --net --pid --mount --fork --kill-child "$HERE/cluster" init >"$RUN/init.log" 2>&1 </dev/null &
  starter=$!
  until [[ -s $RUN/pid ]] || ! kill -0 "$starter" 2>/dev/null; do sleep 0.02; done
  release
  await_ready
  trap - INT TERM
  log "up after $(awk -v us=$((${EPOCHREALTIME/./} - began)) 'BEGIN { printf "%.1f", us / 1e6 }') s in $RUN"
}

down() {
  need_root
  acquire
  remove
  release
}

first_process() { # prints its number, or says what to do
  need_root
  pid || die "no cluster is up in $RUN: run cluster up"
}

run() {
  local first; first=$(first_process)
  (($#)) || die "run what? cluster run CMD..."
  # Every cluster has the same address: what kubectl remembers of one is not true of another.
  KUBECONFIG=$RUN/admin.kubeconfig KUBECACHEDIR=$RUN/kubectl-cache PATH=$BIN:$PATH exec nsenter -t "$first" -n -- "$@"
}

shell() { run "${SHELL:-/bin/bash}"; }

image() { # NAME TAR
  local first name=${1:-} tar=${2:-} end=$((SECONDS + 10)) ctr said
  first=$(first_process)
  [[ -n $name && -r $tar ]] || die "usage: cluster image NAME TAR, and TAR must be readable"
  ctr=(nsenter -t "$first" -n -m -p -- "$BIN/ctr" -a "$RUN/containerd.sock" -n k8s.io)
  said=$("${ctr[@]}" images import --local - <"$tar" 2>&1) || die "containerd refuses $tar: $said"
  [[ -n $("${ctr[@]}" images list --quiet "name==$name" 2>/dev/null) ]] || die "$tar does not hold an image named $name"
  # The kubelet sees the image when containerd has labelled it for Kubernetes.
  until "${ctr[@]}" images list "name==$name" 2>/dev/null | grep -q io.cri-containerd.image=managed; do
    ((SECONDS < end)) || die "containerd's Kubernetes side does not take $name; see: cluster logs containerd"
    sleep 0.05
  done
  log "loaded $name"
}

crash() { # NAME
  local first process inside found=
  first=$(first_process)
  inside=$(readlink "/proc/$first/ns/pid")
  for process in /proc/[0-9]*; do
    [[ $(readlink "$process/exe") == "$BIN/${1:-}" && $(readlink "$process/ns/pid") == "$inside" ]] || continue
    kill -9 "${process#/proc/}" && found=yes
  done
  [[ -n $found ]] || die "no component ${1:-} is running; cluster logs lists them"
}

logs() { # [NAME]
  [[ -d $RUN/log ]] || die "there are no logs in $RUN"
  if (($#)); then cat "$RUN/log/$1.log"; else (cd "$RUN/log" && printf '%s\n' *.log | sed 's/\.log$//'); fi
}
