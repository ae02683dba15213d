//! Following a restart to its end, its deadline, or Ctrl-C.
//!
//! **Invariant:** whatever ends the following, the restart goes on by itself.

use super::args::{Format, Global, Wait};
use super::exit::Exit;
use super::output::{self, name, span};
use super::progress::{View, line};
use crate::api::{Phase, RestartRequest};
use crate::client::words::phase;
use crate::client::{Error, RestartClient};
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

/// A controller that runs looks at a request within a second or two.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// How to follow.
#[derive(Debug)]
pub struct Follow<'a> {
    /// The cluster.
    pub client: &'a RestartClient,
    /// How it was reached, for the way back.
    pub global: &'a Global,
    /// For how long.
    pub wait: &'a Wait,
    /// What belongs on standard output.
    pub format: Format,
}

impl Follow<'_> {
    /// Shows the restart until it has ended; returns it as it was then.
    ///
    /// # Errors
    /// When it cannot be looked at, or somebody deletes it.
    pub async fn follow(
        &self,
        request: RestartRequest,
        estimate: Option<i64>,
    ) -> Result<(Exit, RestartRequest), Error> {
        let mut view = View::new(&request, estimate, self.format.for_programs());
        let ended = self.until_the_end(request, &mut view).await;
        view.end();
        let (exit, request) = ended?;
        match exit {
            Exit::TimedOut => {
                let limit = self.wait.wait_timeout.unwrap_or_default();
                eprintln!(
                    "{} is not over after {}: {}",
                    request.spec.target_ref,
                    span(i64::try_from(limit.as_secs()).unwrap_or(0)),
                    line(&request)
                );
                self.way_back(&request);
            }
            Exit::Interrupted => {
                eprintln!("{} goes on being restarted.", request.spec.target_ref);
                self.way_back(&request);
            }
            Exit::Done | Exit::Error | Exit::FailedRestored | Exit::NotRestored => self.verdict(&request),
        }
        Ok((exit, request))
    }

    async fn until_the_end(
        &self,
        mut request: RestartRequest,
        view: &mut View,
    ) -> Result<(Exit, RestartRequest), Error> {
        let mut changes = std::pin::pin!(self.client.follow(name(&request)));
        let limit = self.wait.wait_timeout.unwrap_or(Duration::MAX);
        let mut limit = std::pin::pin!(tokio::time::sleep(limit));
        let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut unseen = std::pin::pin!(tokio::time::sleep(SEEN_WITHIN));
        let mut told = false;
        loop {
            if phase(&request).is_terminal() {
                return Ok((Exit::of(&request), request));
            }
            tokio::select! {
                change = changes.next() => match change {
                    Some(Ok(Some(next))) => {
                        request = next;
                        view.show(&request);
                    }
                    Some(Ok(None)) | None => return Err(Error::Invalid(format!(
                        "RestartRequest {}/{} was deleted; what it had begun is put back", self.client.namespace(), name(&request)))),
                    Some(Err(error)) if error.status().is_some_and(|status| matches!(status, 401 | 403)) => return Err(error),
                    Some(Err(error)) => view.note(&format!("{error}; trying again")),
                },
                _ = tick.tick() => view.tick(&request),
                () = &mut unseen, if !told => {
                    told = true;
                    if request.phase().is_none() {
                        view.unseen(&format!("no controller has looked at it for {}: kubectl restart doctor{} says more", span(10), self.options()));
                    }
                }
                () = &mut limit => return Ok((Exit::TimedOut, request)),
                _ = &mut interrupt => return Ok((Exit::Interrupted, request)),
            }
        }
    }

    /// How to come back.
    pub fn way_back(&self, request: &RestartRequest) {
        let (name, more) = (name(request), self.options());
        eprintln!("Come back:    kubectl restart watch {name}{more}");
        if matches!(phase(request), Phase::Pending | Phase::Preparing) {
            eprintln!("Or cancel it: kubectl restart cancel {name}{more}");
        }
    }

    /// The same cluster, as the same user.
    #[must_use]
    pub fn options(&self) -> String {
        let Global { namespace: _, context, kubeconfig, as_user, as_group } = self.global;
        let mut options = format!(" -n {}", self.client.namespace());
        let mut add = |option: &str, value: &str| options.extend([" ", option, " ", value]);
        if let Some(context) = context {
            add("--context", context);
        }
        if let Some(file) = kubeconfig {
            add("--kubeconfig", &file.display().to_string());
        }
        if let Some(user) = as_user {
            add("--as", user);
        }
        for group in as_group {
            add("--as-group", group);
        }
        options
    }

    fn verdict(&self, request: &RestartRequest) {
        let text = verdict(request);
        if self.format.for_programs() { eprintln!("{text}") } else { println!("{text}") }
    }
}

/// One sentence about a restart that has ended.
#[must_use]
pub fn verdict(request: &RestartRequest) -> String {
    let status = request.status.clone().unwrap_or_default();
    let at = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    let took = output::between(at(&status.started_at), at(&status.finished_at));
    let target = &request.spec.target_ref;
    if phase(request) == Phase::Completed {
        return format!("{target} restarted: {} pods in {took}", status.progress);
    }
    let code = status.code.map(|code| format!(" {} {}", code.number(), code.reason())).unwrap_or_default();
    let space = request.metadata.namespace.as_ref().map(|space| format!(" -n {space}")).unwrap_or_default();
    let back = match Exit::of(request) {
        Exit::NotRestored => {
            let left = status.outcome.and_then(|outcome| outcome.not_restored).unwrap_or_default();
            format!(
                "\nNot everything is as before: {left}\nCompare:      kubectl restart diff {target}{space}; correct it, then restart again"
            )
        }
        Exit::Done | Exit::Error | Exit::TimedOut | Exit::FailedRestored | Exit::Interrupted => {
            "\nConfiguration and pods are as before.".to_owned()
        }
    };
    let word = phase(request).word();
    // What could not be put back has its own line.
    let message = status.message.split("; not everything is as it was: ").next().unwrap_or_default();
    format!("{target} {word}{code}: {message}{back}\nStep by step: kubectl restart status {}{space}", name(request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_sentence_says_how_it_ended_and_what_is_left() {
        let ended = |phase: &str, not_restored: Option<&str>| -> RestartRequest {
            serde_json::from_value(json!({
                "apiVersion": "restart-controller.dev/v1alpha1", "kind": "RestartRequest", "metadata": {"name": "a", "namespace": "shop"},
                "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "reason": "test"},
                "status": {"phase": phase, "progress": "3/3", "message": "said", "startedAt": "2024-01-01T12:00:00Z",
                    "finishedAt": "2024-01-01T12:00:21Z", "code": (phase == "Failed").then_some("RESTART_006"),
                    "outcome": {"result": phase, "message": "", "suspectConfiguration": false, "notRestored": not_restored}}}))
            .unwrap()
        };
        assert_eq!(verdict(&ended("Completed", None)), "deployment/web restarted: 3/3 pods in 21s");
        assert_eq!(
            verdict(&ended("Failed", None)),
            "deployment/web Failed RESTART_006 ReplacementUnhealthy: said\nConfiguration and pods are as before.\nStep by step: kubectl restart status a -n shop"
        );
        let left = verdict(&ended("Failed", Some("web-config")));
        assert!(
            left.contains(
                "Not everything is as before: web-config\nCompare:      kubectl restart diff deployment/web -n shop"
            ),
            "{left}"
        );
    }
}
