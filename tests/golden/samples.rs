//! The sample as a StatefulSet and as a DaemonSet: `deploy/samples/sample.yaml` but for the kind and what goes with it.

use super::{hold, root};
use std::fs;

const STATEFUL_SET: &str = "\
# Generated from sample.yaml by `make golden`; do not edit.
# The sample service `web` as a StatefulSet: restarted one by one, highest ordinal first, and no request is lost as long
# as another pod is ready. What it needs beforehand stands in sample.yaml.
";
const DAEMON_SET: &str = "\
# Generated from sample.yaml by `make golden`; do not edit.
# The sample service `web` as a DaemonSet: restarted one by one, and no request is lost as long as another node's pod is
# ready. On a single node a restart interrupts it: it asks for strategy.allowDisruption. What it needs beforehand stands
# in sample.yaml.
";

#[test]
fn the_sample_as_another_kind_is_the_same_sample() {
    let sample = fs::read_to_string(root().join("deploy/samples/sample.yaml")).unwrap();
    let (_, body) = sample.split_at(sample.find("apiVersion:").unwrap());
    let (replicas, deployment) = ("  replicas: 3\n", "kind: Deployment\n");
    assert!(body.matches(replicas).count() == 1 && body.matches(deployment).count() == 1, "{body}");
    let stateful_set = body.replace(deployment, "kind: StatefulSet\n");
    let stateful_set = stateful_set.replace(replicas, &format!("{replicas}  serviceName: web\n"));
    hold("deploy/samples/statefulset.yaml", &format!("{STATEFUL_SET}{stateful_set}"));
    let daemon_set = body.replace(deployment, "kind: DaemonSet\n").replace(replicas, "");
    hold("deploy/samples/daemonset.yaml", &format!("{DAEMON_SET}{daemon_set}"));
}
