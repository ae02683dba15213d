# What the parts of the selftest share: how a check is told, and what a cluster could leave behind.
# shellcheck shell=bash disable=SC2154 # work, passed, failed and the clusters are selftest's

check() { # SENTENCE CMD...
  local sentence=$1 began=$SECONDS; shift
  if "$@" >"$work/said" 2>&1; then
    passed=$((passed + 1)); echo "ok      $sentence ($((SECONDS - began)) s)"
  else
    failed=$((failed + 1)); echo "FAILED  $sentence"; tr -d '\0' <"$work/said" | sed 's/^/        | /' | tail -n 15
  fi
}

until_true() { # SECONDS CMD...
  local end=$((SECONDS + $1)); shift
  until "$@"; do ((SECONDS < end)) || return 1; sleep 0.1; done
}

finish() {
  a down; b down; c down; rm -rf "$work"
  echo "$passed passed, $failed failed in $SECONDS s"
  ((failed == 0)) || exit 1
}
trap finish EXIT
trap 'exit 130' INT TERM

# --- what a cluster could leave on the host

# Only what can be told from the doings of others: clusters may run beside these two. A network namespace lives as long
# as a process in it or a mount of type nsfs.
footprint() {
  (cd /proc/sys && tail -n +1 vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops)
  grep -e "cluster-selftest-$$" -e nsfs /proc/self/mountinfo
  for folder in /run/*/; do [[ -e $folder/.restart-controller-cluster ]] || echo "$folder"; done
  find /var/lib/kubelet /var/lib/cni /var/log/containers /var/log/pods /usr/libexec/kubernetes -maxdepth 1 2>/dev/null | sort
  ip -o link show | cut -d: -f2
}
as_before() { diff "$work/before" <(footprint); }
# Prints those with the instance's path in their arguments or environment; the pattern comes by file, or grep finds itself.
processes() { printf '%s\n' "$1" >"$work/instance"; grep -lsaFf "$work/instance" /proc/[0-9]*/cmdline /proc/[0-9]*/environ; }
ended() { # INSTANCE; a script that is killed leaves a child (sleep, flock, awk) that ends by itself
  local end=$((SECONDS + 5))
  while processes "$1" >"$work/alive"; do
    ((SECONDS < end)) || { while read -r file; do echo "$file: $(tr '\0' ' ' <"$file" | cut -c1-150)"; done <"$work/alive"; return 1; }
    sleep 0.1
  done
}
cgroups() { find /sys/fs/cgroup -maxdepth 2 -name "restart-controller-cluster-$(printf %s "$1" | sha256sum | cut -c1-12)"; }
nothing_left() { # INSTANCE...
  local instance
  for instance; do
    [[ ! -e $instance ]] || { echo "$instance is there"; return 1; }
    ended "$instance" || return 1
    [[ -z $(cgroups "$instance") ]] || { cgroups "$instance"; return 1; }
  done
}
