# CoreDNS, as a process beside the first node's.
# shellcheck shell=bash disable=SC2153 # names in capitals come from ../cluster

# Behind a Service without a selector. The Corefile is kubeadm's, less what forwards to an outside: names are cached 30 s.
start_dns() {
  cat >"$RUN/Corefile" <<CONF
.:53 {
  bind $API_IP
  errors
  ready $API_IP:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig $RUN/dns.kubeconfig
    pods insecure
    ttl 30
  }
  cache 30
  loadbalance
}
CONF
  kubectl apply -f - >/dev/null <<YAML
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: coredns}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: coredns}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: coredns}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: coredns}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: $DNS_IP, ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [$API_IP], conditions: {ready: true}}]
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
YAML
  start coredns "$BIN/coredns" -conf "$RUN/Corefile"
}

dns_ready() { (exec 3<>"/dev/tcp/$API_IP/8181" && printf 'GET /ready HTTP/1.0\r\n\r\n' >&3 && grep -q '200 OK' <&3); }
