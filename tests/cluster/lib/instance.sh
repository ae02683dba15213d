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

alive() { # FILE; prints the host's number of the process on record, if it lives; in a trap a bare `return` would mean success
  local number start_time stat
  [[ -f $1 ]] && read -r number start_time <"$1" || return 1
  { read -ra stat <"/proc/$number/stat"; } 2>/dev/null || return 1
  # The start time tells it from a later process of the same number; a zombie has already ended.
  [[ ${stat[21]} == "$start_time" && ${stat[2]} != [ZX] ]] && echo "$number"
}

pid() { alive "$RUN/pid"; }

check_size() {
  [[ $NODES == [1-9] ]] || die "CLUSTER_NODES=$NODES: use a number from 1 to 9"
  [[ $NODE_GRACE =~ ^([4-9]|[1-9][0-9]+)?$ ]] || die "CLUSTER_NODE_GRACE=$NODE_GRACE: use a whole number of seconds, 4 or more"
  ((NODES == 1)) || [[ -z $CONTROL_PLANE_ONLY ]] || die "CLUSTER_CONTROL_PLANE_ONLY has no node: do not set CLUSTER_NODES with it"
}

# One that is up stays as it is, so another number of nodes must be asked for in another way.
check_same_size() {
  local there; there=$(nodes | wc -l)
  [[ -z ${CLUSTER_NODES:-} || $there == "$NODES" ]] || die "$RUN is up with $there nodes, not $NODES: run cluster down first"
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
  check_size
  missing=$(missing_packages | xargs)
  [[ -z $missing ]] || die "missing packages: $missing. Run: cluster packages"
  build
  acquire
  if pid >/dev/null; then
    release
    await_ready
    check_same_size
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
