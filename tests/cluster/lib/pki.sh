# The cluster's certificates and kubeconfig files.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

# Debian's openssl.cnf would make every leaf a CA, which rustls refuses.
OPENSSL_CONFIG=$'[req]\ndistinguished_name=name\n[name]\n'
NEW_KEY=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30)

certificate() { # NAME SUBJECT USAGE [ALTERNATIVE NAMES]
  openssl req -x509 -config <(printf %s "$OPENSSL_CONFIG") "${NEW_KEY[@]}" -CA ca.crt -CAkey ca.key -keyout "$1.key" -out "$1.crt" -subj "$2" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature -addext extendedKeyUsage="$3" \
    ${4:+-addext subjectAltName="$4"} 2>/dev/null
}

kubeconfig() { # NAME
  cat >"$RUN/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: "https://$API_IP:6443", certificate-authority: $RUN/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $RUN/pki/$1.crt, client-key: $RUN/pki/$1.key}}]
contexts: [{name: cluster, context: {cluster: cluster, user: $1}}]
current-context: cluster
YAML
}

pki() ( # in a subshell of its own, for the directory
  mkdir "$RUN/pki"
  cd "$RUN/pki" || exit
  jobs=()
  openssl req -x509 -config <(printf %s "$OPENSSL_CONFIG") "${NEW_KEY[@]}" -keyout ca.key -out ca.crt -subj /CN=kubernetes \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,digitalSignature -addext subjectKeyIdentifier=hash 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out service-accounts.key # this form serves as the public key too
  certificate apiserver /CN=kube-apiserver serverAuth \
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$API_IP" & jobs+=($!)
  certificate apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth & jobs+=($!)
  certificate admin /O=system:masters/CN=admin clientAuth & jobs+=($!)
  certificate controller-manager /CN=system:kube-controller-manager clientAuth & jobs+=($!)
  certificate scheduler /CN=system:kube-scheduler clientAuth & jobs+=($!)
  for number in $(numbers); do # the API server lets a kubelet write its own node only, by this name
    be_node "$number"
    certificate "$KUBELET" "/O=system:nodes/CN=system:node:$NODE" clientAuth,serverAuth "DNS:$NODE,IP:$NODE_IP" & jobs+=($!)
    kubeconfig "$KUBELET"
  done
  certificate proxy /CN=system:kube-proxy clientAuth & jobs+=($!)
  certificate dns /CN=coredns clientAuth & jobs+=($!)
  for who in admin controller-manager scheduler proxy dns; do kubeconfig "$who"; done
  for job in "${jobs[@]}"; do wait "$job"; done # each, for its result
)
