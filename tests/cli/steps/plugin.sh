# The program as it is distributed: installed by krew from its archive and manifest, and taken off again. Sourced by ../story.
# shellcheck shell=bash disable=SC2154 # words of ../story

krew_installs_it() {
  local archive
  archive=$(echo "$PLUGIN"/kubectl-restart_v*_linux_*.tar.gz)
  sed 's/sha256: ..../sha256: 0000/' "$PLUGIN/restart.yaml" >"$WORK/forged.yaml"
  ! kubectl krew install --manifest="$WORK/forged.yaml" --archive="$archive" </dev/null >"$said" 2>&1 || die "an archive with another digest was installed"
  says 'checksum does not match'
  # An index of one plugin: krew reads the manifest from it as from its own.
  mkdir -p "$work/index/plugins"
  cp "$PLUGIN/restart.yaml" "$work/index/plugins/"
  quietly git -C "$work/index" init
  quietly git -C "$work/index" add plugins
  quietly git -C "$work/index" -c user.name=test -c user.email=test@localhost commit --message index
  quietly kubectl krew index add default "file://$work/index"
  quietly kubectl krew search restart
  says 'Restart workloads without losing a request'
  quietly kubectl krew install --manifest="$PLUGIN/restart.yaml" --archive="$archive" </dev/null
  says 'Installed plugin: restart' 'kubectl restart doctor'
  kubectl restart --help >"$said"
  says 'Restart a workload without losing one request'
  kubectl restart completion bash | bash -n
  kubectl restart completion kubectl >"$KREW_ROOT/bin/kubectl_complete-restart"
  chmod +x "$KREW_ROOT/bin/kubectl_complete-restart"
  cmp "$KREW_ROOT/bin/kubectl_complete-restart" "$KREW_ROOT"/store/restart/v*/kubectl_complete-restart || die "the archive's completion is another"
  grep -q 'Restart a workload' "$KREW_ROOT"/store/restart/v*/man/kubectl-restart.1 || die "no manual pages"
  [[ -s $(echo "$KREW_ROOT"/store/restart/v*/LICENSE) ]] || die "no licence"
}

it_needs_nothing_beside_it_and_finds_the_api_server_by_name() {
  local name root=$work/root
  mkdir -p "$root/etc" "$root/dev"
  cp "$(readlink -f "$KREW_ROOT/bin/kubectl-restart")" "$root/"
  printf '127.0.0.1 localhost\n192.0.2.10 kubernetes\n' >"$root/etc/hosts"
  printf 'nameserver 10.96.0.10\n' >"$root/etc/resolv.conf"
  for name in localhost:6443 kubernetes:6443 kubernetes.default.svc.cluster.local:443; do
    kubectl config view --raw --flatten | sed "s#server: .*#server: https://$name#" >"$root/kubeconfig"
    quietly alone_in "$root" /kubectl-restart status -n kube-system --kubeconfig /kubeconfig
    says 'No restarts in namespace kube-system.'
  done
  sed -i 's#server: .*#server: https://nowhere.invalid#' "$root/kubeconfig"
  ! alone_in "$root" /kubectl-restart status --kubeconfig /kubeconfig >"$said" 2>&1 || die "nowhere was found"
  says 'error: ' 'nowhere.invalid' 'kubectl cluster-info'
}
# With this directory as the whole file system, but for /dev.
# shellcheck disable=SC2016 # for the shell inside
alone_in() { unshare --mount bash -c 'mount --bind /dev "$1/dev" && exec chroot "$@"' - "$@"; }

what_is_not_installed_is_said() {
  ends_with 1 status
  says 'restart-controller is not installed'
  ends_with 1 doctor deploy/plain
  says 'no  the definitions are installed' 'install restart-controller'
}

an_output_that_nobody_takes_is_no_panic() {
  local code=0 gone
  ! kubectl restart completion kubectl >/dev/full 2>"$said" || die "a full disk is no error"
  says 'error: standard output: No space left'
  exec {gone}> >(:)
  wait $!
  kubectl restart completion kubectl 1>&"$gone" 2>"$said" || code=$?
  exec {gone}>&-
  [[ $code == 141 && ! -s $said ]] || die "code $code: $(cat "$said")"
}

krew_takes_it_off_again() {
  quietly kubectl krew uninstall restart
  ! kubectl restart --help >"$said" 2>&1 || die "it is there still"
}
