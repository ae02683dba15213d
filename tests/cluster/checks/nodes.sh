# A cluster of three nodes: how they reach one another, and what happens when a part of one stands still.
# shellcheck shell=bash disable=SC2154 # c, C, work and the checks are selftest's

kubectl_c() { c run timeout 60 kubectl "$@"; }
each_node() { local node; for node in node0 node1 node2; do "$@" "$node" || { echo "not on $node"; return 1; }; done; }

three_up() {
  local began=$SECONDS
  CLUSTER_NODES=3 c up || return 1
  ((SECONDS - began <= limit))
}
zones_are_labels() {
  local said
  said=$(kubectl_c get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.metadata.labels.topology\.kubernetes\.io/zone} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}')
  diff <(echo "$said") - <<'TEXT'
node0 zone-0 192.0.2.10
node1 zone-1 192.0.2.11
node2 zone-2 192.0.2.12
TEXT
}
another_size_is_refused() { local said; ! said=$(CLUSTER_NODES=2 c up 2>&1) && [[ $said == *"3 nodes"* ]]; }
another_node_is_refused() {
  local said
  ! said=$(c run-on node7 true 2>&1) && [[ $said == *"node0 node1 node2"* ]] || return 1
  ! said=$(c crash kubelet node7 2>&1) && [[ $said == *"node0 node1 node2" ]] || return 1
  ! c crash nonsense node1
}
load_everywhere() {
  "$HERE/mkimage" localhost/busybox:1 "$work/busybox.tar" /bin/busybox:/bin/busybox /bin/busybox:/bin/sh -- /bin/busybox sh
  c image localhost/busybox:1 "$work/busybox.tar"
}

workload() { # NAME REPLICAS PLACE; each pod answers with the name of its node
  cat <<YAML
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 1
      $3
      containers:
      - name: web
        image: localhost/busybox:1
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        command: [/bin/busybox, sh, -c, "mkdir /www; echo \$NODE >/www/index.html; exec /bin/busybox httpd -fvv -p 8080 -h /www"]
        readinessProbe: {httpGet: {port: 8080, path: /}, periodSeconds: 1}
YAML
}
service() { # NAME APP POLICY...
  printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {selector: {app: %s}, ports: [{port: 80, targetPort: 8080}], %s}\n' "$1" "$2" "$3"
}
spread() {
  local deployment
  {
    workload web 3 'topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]'
    workload only 1 'nodeSelector: {topology.kubernetes.io/zone: zone-2}'
    workload first 1 'nodeSelector: {topology.kubernetes.io/zone: zone-0}'
    service only only 'type: ClusterIP'
    service first first 'type: ClusterIP'
    service web-local web 'internalTrafficPolicy: Local'
    service only-local only 'internalTrafficPolicy: Local'
    service only-outside only 'type: NodePort, externalTrafficPolicy: Local'
  } | kubectl_c apply -f - || return 1
  for deployment in web only first; do kubectl_c rollout status "deployment/$deployment" --timeout=40s || return 1; done
  [[ $(kubectl_c get pods -l app=web -o jsonpath='{range .items[*]}{.spec.nodeName}{"\n"}{end}' | sort | xargs) == "node0 node1 node2" ]] || return 1
  only=$(address only) web_local=$(address web-local) only_local=$(address only-local)
  port=$(kubectl_c get service only-outside -o jsonpath='{.spec.ports[0].nodePort}')
}
address() { kubectl_c get service "$1" -o jsonpath='{.spec.clusterIP}'; }
pod_on() { kubectl_c get pods -l app=web --field-selector "spec.nodeName=$1" -o jsonpath='{.items[0].metadata.name}'; }

# wget without -T, which crashes Debian's static busybox.
answers() { # ADDRESS WHAT NODE: from that node's network
  [[ $(c run-on "$3" timeout 2 busybox wget -qO- "http://$1") == "$2" ]]
}
silent() { # ADDRESS NODE
  [[ $(c run-on "$2" sh -c "timeout 1 busybox wget -qO- http://$1 || echo silence") == silence ]]
}
reaches() { until_true 5 answers "$@"; } # kube-proxy's rules follow a Service within a moment
pod_answers() { [[ $(kubectl_c exec "$(pod_on "$3")" -- busybox timeout 2 busybox wget -qO- "http://$1") == "$2" ]]; }

pods_reach_pods() { # without a Service, from each pod to each
  local ip
  for ip in $(kubectl_c get pods -l app=web -o jsonpath='{.items[*].status.podIP}'); do each_node pod_ping "$ip" || return 1; done
}
pod_ping() { kubectl_c exec "$(pod_on "$2")" -- busybox wget -qO- "http://$1:8080"; }
conntracked() { c run conntrack -L -p tcp -s "$1" | grep -F "src=$2 "; }
unseen_by_the_first_node() {
  pod_answers "$only" node2 node1 && pod_answers "$only" node2 node0 || return 1
  local to; to=$(kubectl_c get pods -l app=only -o jsonpath='{.items[0].status.podIP}')
  # The first node remembers its own pod's connection, and none of node1's pod.
  [[ -n $(conntracked 10.244.0.0/24 "$to") && -z $(conntracked 10.244.1.0/24 "$to") ]]
}
local_policy_for_nodes() { local node; for node in node0 node1 node2; do reaches "$web_local" "$node" "$node" || return 1; done; }
local_policy_for_pods() { local node; for node in node0 node1 node2; do pod_answers web-local.default.svc.cluster.local "$node" "$node" || return 1; done; }
local_policy_without_a_copy() { silent "$only_local" node0 && pod_silent "$only_local" node1 && reaches "$only_local" node2 node2; }
pod_silent() { [[ $(kubectl_c exec "$(pod_on "$2")" -- sh -c "busybox timeout 1 busybox wget -qO- http://$1 || echo silence") == silence ]]; }
local_policy_from_outside() { # and the pod sees who asks
  reaches "192.0.2.12:$port" node2 node0 && silent "192.0.2.11:$port" node0 || return 1
  kubectl_c logs deployment/only | grep -F '192.0.2.10]'
}

proxy_delayed() { # it alone does not know a new Service, until it goes on
  c stop kube-proxy node1 || return 1
  service late only 'type: ClusterIP' | kubectl_c apply -f - || return 1
  local late; late=$(address late)
  reaches "$late" node2 node0 && reaches "$late" node2 node2 && silent "$late" node1 || return 1
  reaches "$only" node2 node1 || return 1 # what it knew before still holds
  c continue kube-proxy node1 && reaches "$late" node2 node1
}
ready() { [[ $(kubectl_c get node "$2" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}') == "$1" ]]; }
endpoint() { [[ $(kubectl_c get endpointslices -l kubernetes.io/service-name=only -o jsonpath='{.items[*].endpoints[*].conditions.ready}') == "$1" ]]; }
kubelet_stopped() {
  c stop kubelet node2 && until_true 11 ready Unknown node2 && until_true 5 endpoint false && ready True node1
}
kubelet_continues() { c continue kubelet node2 && until_true 10 ready True node2 && until_true 15 endpoint true; }
cable_pulled() { # between node1 and the bridge
  c run ip link set node1 down && silent "$only" node1 && reaches "$only" node2 node0 || return 1
  c run ip link set node1 up && reaches "$only" node2 node1
}
machine_stalls() { # with its pods, and goes on as if nothing had been
  c stop all node2 && silent "$only" node1 && c continue all node2 && reaches "$only" node2 node1 || return 1
  [[ $(kubectl_c get pods -l app=only -o jsonpath='{.items[*].status.containerStatuses[0].restartCount}') == 0 ]]
}
crash_on_a_node() { # its pods live on and another one starts there
  c crash containerd node1 && c crash kubelet node1 || return 1
  workload new 1 'nodeSelector: {topology.kubernetes.io/zone: zone-1}' | kubectl_c apply -f - || return 1
  kubectl_c rollout status deployment/new --timeout=40s || return 1
  [[ $(kubectl_c get pods -l app=web -o jsonpath='{.items[*].status.containerStatuses[0].restartCount}') == "0 0 0" ]]
}
logs_of_a_node() { c logs | grep -x 'kubelet node1' && c logs kubelet node1 | grep -F 'starting it again' && ! c logs kubelet node2 | grep -F 'starting it again'; }
no_cable_leads_out() { # nothing but loopback, the cable to the bridge and pods' own devices
  ! c run-on "$1" ip -o link show | grep -v -e ' lo:' -e ' eth0@' -e ' node[0-2][:@]' -e ' cni0:' -e ' veth'
}

networks_of_c() { for file in "$C/pid" "$C"/node?/pid; do readlink "/proc/$(cut -d' ' -f1 "$file")/ns/net"; done; }
machine_lost() {
  networks_of_c | sort -u >"$work/networks"
  [[ $(wc -l <"$work/networks") == 3 ]] && c crash all node2 && silent "$only" node1
}
down_with_a_stopped_component() {
  c stop kubelet node1 || return 1
  c down && nothing_left "$C" && ! readlink /proc/[0-9]*/ns/net | grep -xFf "$work/networks"
}
three_killed_in_mid_boot() {
  CLUSTER_NODES=3 CLUSTER_RUN=$C "$HERE/cluster" up & local booting=$!
  until_true 10 test -e "$C/node2/containerd.sock"
  kill -9 $booting; wait $booting
  c down && nothing_left "$C"
}

several_nodes() {
  local limit=12 only web_local only_local port load
  # On a machine that is busy with other things this says nothing of the cluster.
  read -r load _ </proc/loadavg
  ((${load%.*} < 2 * $(nproc))) || limit=40
  check "three nodes are Ready within $limit s" three_up
  check "each node has an address and a zone" zones_are_labels
  check "a cluster that is up with another number of nodes is refused" another_size_is_refused
  check "a node that does not exist is refused, with the names of those that do" another_node_is_refused
  check "an image is loaded into every node" load_everywhere
  check "a Deployment spreads over the three zones" spread
  check "each pod reaches each pod" pods_reach_pods
  check "from each node's network a Service answers whose endpoint is on another node" each_node reaches "$only" node2
  check "from a pod on each node it answers by name" each_node pod_answers only.default.svc.cluster.local node2
  check "and one whose endpoint is on the first node" each_node pod_answers first.default.svc.cluster.local node0
  check "what passes between two nodes is none of the first node's rules' business" unseen_by_the_first_node
  check "internalTrafficPolicy Local keeps each node to its own pod" local_policy_for_nodes
  check "and each pod" local_policy_for_pods
  check "and has no answer where no pod is" local_policy_without_a_copy
  check "externalTrafficPolicy Local answers on the node of its pod alone, which sees the client's address" local_policy_from_outside
  check "a kube-proxy that stands still misses a new Service until it goes on" proxy_delayed
  check "a node without its cable reaches no other until it is plugged in" cable_pulled
  check "a stopped kubelet makes its node NotReady and its endpoint unready" kubelet_stopped
  check "when it goes on, both heal" kubelet_continues
  check "a machine that stalls, pods and all, goes on as if nothing had been" machine_stalls
  check "containerd and kubelet of a node crash: its pods live on and another one starts" crash_on_a_node
  check "the logs of each node are its own" logs_of_a_node
  check "no packet can leave the nodes" each_node no_cable_leads_out
  check "a machine that is lost answers no more" machine_lost
  check "down with a stopped component leaves no process, cgroup, directory or network" down_with_a_stopped_component
  check "three nodes that are killed in mid-boot leave nothing after down" three_killed_in_mid_boot
}
