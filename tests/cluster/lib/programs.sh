# What the cluster is made of: Debian packages, and Go programs built once into a cache.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

PACKAGES="gcc libc6-dev shellcheck runc containernetworking-plugins nftables iptables conntrack iproute2 catatonit openssl util-linux procps python3 busybox-static"
# What the suites of the sidecar and its benchmark run beside it (tests/suites).
PACKAGES+=" g++ haproxy nginx-light nghttp2-client slowhttptest postgresql-15"
# The browser and the interpreters that the HTTP API's page is tested with (tests/page), and a terminal (tests/cli).
PACKAGES+=" chromium curl python3-venv tmux"
command -v npm >/dev/null || PACKAGES+=" nodejs npm"
PROGRAMS="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl etcd containerd containerd-shim-runc-v2 ctr coredns"

need_root() { ((EUID == 0)) || die "this verb needs root, for namespaces, mounts and cgroups: sudo -E $0 ..."; }

missing_packages() { # prints those that are not installed
  local package
  for package in $PACKAGES; do
    [[ $(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
  done
}

packages() {
  local missing; missing=$(missing_packages | xargs)
  [[ -n $missing ]] || { log "all packages are installed"; return; }
  ((EUID == 0)) || die "missing packages: $missing. As root: apt-get install --no-install-recommends $missing"
  log "installing $missing"
  # Its package would start a server of its own.
  if [[ $missing == *postgresql* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

# Sets module, package, path (the module that gives the version), build tags and linker flags for one program.
describe() {
  flags="-s -w" tags=''
  case $1 in
    kube*) module=kubernetes package=k8s.io/kubernetes/cmd/$1 path=k8s.io/kubernetes ;;
    etcd) module=etcd package=go.etcd.io/etcd/server/v3 path=$package ;;
    containerd* | ctr) module=containerd path=github.com/containerd/containerd/v2 package=$path/cmd/$1 ;;
    coredns) module=coredns package=github.com/coredns/coredns path=$package ;;
    h2spec) module=h2spec path=github.com/summerwind/h2spec package=$path/cmd/h2spec ;;
    helm) module=helm path=helm.sh/helm/v4 package=$path/cmd/helm ;;
    flux-kustomize) module=flux-kustomize path=github.com/fluxcd/kustomize-controller package=$path ;;
    krew) module=krew path=sigs.k8s.io/krew package=$path/cmd/krew ;;
    promtool) module=promtool path=github.com/prometheus/prometheus package=$path/cmd/promtool tags=remove_all_sd ;;
    *) die "there is no program $1; known: $PROGRAMS h2spec helm promtool flux-kustomize krew" ;;
  esac
  version=$(awk -v path="$path" '$1 == path { print $2 }' "$HERE/tools/$module/go.mod")
  [[ -n $version ]] || die "tools/$module/go.mod does not require $path"
  # Without these a program reports no version, and kubectl and the kubelet compare versions.
  local base=k8s.io/component-base/version minor=${version#v*.}
  case $module in
    kubernetes) flags+=" -X $base.gitVersion=$version -X $base.gitMajor=1 -X $base.gitMinor=${minor%%.*} -X $base.gitTreeState=clean" ;;
    containerd) flags+=" -X $path/version.Version=$version" ;;
  esac
}

# What the program is built from: a changed lock file, package or flag is a changed key.
key() { { cat "$HERE/tools/$module/go.mod" "$HERE/tools/$module/go.sum"; echo "$package $flags${tags:+ $tags}"; } | sha256sum | cut -d' ' -f1; }

current() { # NAME, after describe
  local stamp=$BIN/.$1.key
  [[ -x $BIN/$1 ]] || return
  if [[ -f $stamp ]]; then [[ $(<"$stamp") == "$(key)" ]]; return; fi
  # Built by somebody else: it tells its version itself.
  go version -m "$BIN/$1" 2>/dev/null | awk -v p="$path" -v v="$version" '$1 == "mod" && $2 == p && $3 == v { found = 1 } END { exit !found }' \
    && key >"$stamp"
}

compile() { # NAME, after describe; to another name first, so that an interrupted build leaves nothing half
  local partial=$BIN/.partial.$1
  (cd "$HERE/tools/$module" && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -tags "$tags" -ldflags "$flags" -o "$partial" "$package") \
    || die "building $1 failed; nothing was changed"
  rm -f "$BIN/.$1.key"
  mv "$partial" "$BIN/$1"
  key >"$BIN/.$1.key"
}

build() { # [NAME...]
  local module package path flags tags version name number=0 lock
  # shellcheck disable=SC2086 # a list of words
  (($#)) || set -- $PROGRAMS
  mkdir -p "$BIN"
  for name; do
    number=$((number + 1))
    describe "$name"
    current "$name" && continue
    command -v go >/dev/null || die "$name must be built and there is no go in PATH: install Go 1.26.6 or newer"
    exec {lock}>"$CACHE/lock"
    flock -n "$lock" || { log "waiting for another build"; flock "$lock"; }
    if ! current "$name"; then # the other build may have been of this
      log "building $name ($number of $#)"
      compile "$name"
    fi
    exec {lock}>&-
  done
}
