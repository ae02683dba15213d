//! Requests that are no clients': probes of the kubelet, and whatever the command line names. They are served like any other,
//! and neither count as in flight nor hold up a drain: a pod is probed for as long as it lives.
//!
//! **Invariant:** a request is ignored by what its own head says, never by where it comes from.

use super::http::head::RequestHead;

/// How the kubelet's probes begin their User-Agent (`k8s.io/kubernetes/pkg/probe`).
const KUBELET: &str = "kube-probe/";

/// Which requests are ignored.
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    paths: Vec<String>,
    user_agents: Vec<String>,
}

impl Ignored {
    /// Those whose path is one of `paths`, or whose User-Agent begins with one of `user_agents` or as the kubelet's does.
    #[must_use]
    pub fn new(paths: Vec<String>, mut user_agents: Vec<String>) -> Self {
        user_agents.push(KUBELET.to_owned());
        Self { paths, user_agents }
    }

    /// Whether the request with this head, which stands at the start of `bytes`, is ignored.
    #[must_use]
    pub fn has(&self, head: &RequestHead, bytes: &[u8]) -> bool {
        self.has_request(head.target.of(bytes), head.user_agent.of(bytes))
    }

    /// Whether a request for this path by this User-Agent, which may be empty, is ignored.
    #[must_use]
    pub fn has_request(&self, path: &[u8], agent: &[u8]) -> bool {
        let named = || self.user_agents.iter().any(|known| agent.starts_with(known.as_bytes()));
        (!agent.is_empty() && named()) || (!self.paths.is_empty() && self.has_path(path))
    }

    fn has_path(&self, target: &[u8]) -> bool {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        self.paths.iter().any(|known| path == known.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sidecar::http::head::parse_request;

    fn ignores(ignored: &Ignored, target: &str, agent: &str) -> bool {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nuser-AGENT:  {agent}\r\n\r\n");
        ignored.has(&parse_request(request.as_bytes()).unwrap(), request.as_bytes())
    }

    #[test]
    fn probes_of_the_kubelet_are_ignored_and_clients_are_not() {
        let ignored = Ignored::new(vec![], vec![]);
        assert!(ignores(&ignored, "/", "kube-probe/1.36"));
        for agent in ["curl/8.0 kube-probe/1.36", "kube-prober/1.36", "", "Mozilla/5.0"] {
            assert!(!ignores(&ignored, "/", agent), "{agent}");
        }
        let bare = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(!ignored.has(&parse_request(bare.as_bytes()).unwrap(), bare.as_bytes()));
    }

    #[test]
    fn paths_are_whole_and_without_their_query_and_user_agents_are_prefixes() {
        let ignored = Ignored::new(vec!["/healthz".into()], vec!["Prometheus/".into()]);
        for (target, agent, expected) in [
            ("/healthz", "any", true),
            ("/healthz?verbose", "any", true),
            ("/healthz/deep", "any", false),
            ("/health", "any", false),
            ("/", "Prometheus/3.0", true),
            ("/", "kube-probe/1.33", true),
        ] {
            assert_eq!(ignores(&ignored, target, agent), expected, "{target} by {agent}");
        }
    }
}
