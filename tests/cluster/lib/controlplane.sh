# etcd, kube-apiserver, kube-controller-manager, kube-scheduler.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

start_etcd() {
  start etcd "$BIN/etcd" --data-dir "$RUN/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
}

start_apiserver() {
  local audit=()
  # In one file, which the tests read when they end.
  [[ -z $AUDIT_POLICY ]] || audit=(--audit-policy-file="$AUDIT_POLICY" --audit-log-path="$RUN/log/audit.log" --audit-log-maxsize=10000)
  # Without InternalIP first, exec and logs fail: nothing resolves the node's name.
  start kube-apiserver "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range="$SERVICE_CIDR" \
    --advertise-address="$API_IP" --secure-port=6443 --tls-cert-file="$RUN/pki/apiserver.crt" --tls-private-key-file="$RUN/pki/apiserver.key" \
    --client-ca-file="$RUN/pki/ca.crt" --authorization-mode=Node,RBAC --allow-privileged=true --enable-admission-plugins=NodeRestriction \
    --service-account-key-file="$RUN/pki/service-accounts.key" --service-account-signing-key-file="$RUN/pki/service-accounts.key" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --kubelet-preferred-address-types=InternalIP \
    --kubelet-client-certificate="$RUN/pki/apiserver-kubelet-client.crt" --kubelet-client-key="$RUN/pki/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority="$RUN/pki/ca.crt" "${audit[@]}"
}

start_controller_manager() {
  # Its default of 20 requests a second makes every boot 3 s longer.
  local notready=()
  [[ -z $NODE_GRACE ]] || notready=(--node-monitor-grace-period="${NODE_GRACE}s" --node-monitor-period=1s)
  start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$RUN/controller-manager.kubeconfig" \
    --service-account-private-key-file="$RUN/pki/service-accounts.key" --root-ca-file="$RUN/pki/ca.crt" \
    --use-service-account-credentials=true --leader-elect=false \
    --kube-api-qps=200 --kube-api-burst=400 --flex-volume-plugin-dir="$RUN/flexvolumes" "${notready[@]}"
}

start_scheduler() { start kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$RUN/scheduler.kubeconfig" --leader-elect=false; }
