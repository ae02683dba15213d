//! What `plan`, `doctor` and `diff` look at: the controller's own checks, and what stands around them.
//!
//! **Invariant:** nothing is written; what may not be read is said to be unknown, never to be well.

use crate::api::{Code, RestartRequest, RestartRequestSpec, TargetRef};
use crate::client::{Ask, Error, RestartClient};
use crate::controller::config::Restart;
use crate::controller::keys::{OBJECT, PUBLIC, Trusted};
use crate::controller::preview::{Preview, preview};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use serde::Serialize;

/// Where the controller is.
#[derive(Clone, Debug, clap::Args)]
pub struct Where {
    /// The controller's namespace: its configuration and key are read there, if you may
    #[arg(long, default_value = "restart-controller-system", value_name = "NAMESPACE")]
    pub controller_namespace: String,
}

/// What was found about one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// It is as it must be.
    Ok,
    /// It is not: no restart begins.
    Refused,
    /// It cannot be seen from here.
    Unknown,
}

/// One line of a survey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// What must hold.
    pub what: String,
    /// Whether it does.
    pub found: Found,
    /// The entry of the table of codes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Why, and what to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Line {
    /// As it must be.
    #[must_use]
    pub fn ok(what: &str) -> Self {
        Self { what: what.to_owned(), found: Found::Ok, code: None, message: String::new() }
    }

    /// Not as it must be.
    #[must_use]
    pub fn refused(what: &str, code: Option<Code>, message: String) -> Self {
        Self { what: what.to_owned(), found: Found::Refused, code, message }
    }

    /// Not to be seen.
    #[must_use]
    pub fn unknown(what: &str, message: String) -> Self {
        Self { what: what.to_owned(), found: Found::Unknown, code: None, message }
    }

    /// For people.
    #[must_use]
    pub fn text(&self, colours: bool) -> String {
        let (word, colour) = match self.found {
            Found::Ok => ("ok  ", "32"),
            Found::Refused => ("no  ", "31"),
            Found::Unknown => ("?   ", "33"),
        };
        let word = super::output::paint(word, colour, colours);
        let code = self.code.map(|code| format!("{} {}: ", code.number(), code.reason())).unwrap_or_default();
        if self.message.is_empty() {
            format!("  {word}{}", self.what)
        } else {
            format!("  {word}{}\n        {code}{}", self.what, self.message)
        }
    }
}

/// What a restart of a workload would find.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Everything that was looked at.
    pub lines: Vec<Line>,
    /// What the controller would see; absent if it could not be read.
    pub preview: Option<Preview>,
    /// About how long it would take, in seconds.
    pub estimate: Option<i64>,
}

impl Survey {
    /// Whether a restart would begin.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.lines.iter().all(|line| line.found != Found::Refused)
    }
}

/// Asks the API server whether it would accept the request, and then looks as the controller would.
///
/// # Errors
/// When the API server cannot be reached.
pub async fn survey(client: &RestartClient, ask: &Ask, place: &Where) -> Result<Survey, Error> {
    let mut lines = vec![];
    let (limits, known) = limits(client, place).await;
    if !known {
        let why = format!("may not be read in namespace {}: the defaults are assumed", place.controller_namespace);
        lines.push(Line::unknown("the controller's configuration", why));
    }
    let dry = Ask { dry_run: true, ..ask.clone() };
    let what = "the API server accepts the request, from you";
    let (request, estimate) = match client.request_restart(&dry).await {
        Ok(asked) => {
            lines.push(Line::ok(what));
            (asked.request, Some(asked.estimated_time))
        }
        Err(error) if error.code().is_some() => {
            lines.push(Line::refused(what, error.code(), error.to_string()));
            (unborn(client, &ask.spec), None)
        }
        Err(error) => return Err(error),
    };
    let keys = keys(client, place).await;
    let asks = may(client, "get", "", "pods/proxy", None).await;
    match preview(client.kube(), client.namespace(), request, limits, keys.as_ref()).await {
        Ok(preview) => {
            lines.extend(preview.checks.iter().map(|check| judged(check, asks, keys.is_some())));
            Ok(Survey { lines, preview: Some(preview), estimate })
        }
        Err(error) => {
            lines.push(Line::unknown("what stands around the workload", error.to_string()));
            Ok(Survey { lines, preview: None, estimate })
        }
    }
}

fn judged(check: &crate::controller::preview::Check, asks: bool, keys: bool) -> Line {
    let sidecars = check.what.contains("sidecar answers");
    match &check.finding {
        Err(_) if sidecars && !asks => {
            Line::unknown(check.what, "you may not `get pods/proxy`, through which they are asked".to_owned())
        }
        Err(verdict) => Line::refused(check.what, Some(verdict.code), verdict.message.clone()),
        Ok(()) if sidecars && !keys => Line::unknown(
            check.what,
            format!("they answer; ConfigMap {OBJECT} with the controller's key may not be read"),
        ),
        Ok(()) => Line::ok(check.what),
    }
}

fn unborn(client: &RestartClient, spec: &RestartRequestSpec) -> RestartRequest {
    let mut request = RestartRequest::new("plan", spec.clone());
    request.metadata.namespace = Some(client.namespace().to_owned());
    request
}

/// What the controller would see, of a request that nobody makes and without asking a sidecar.
///
/// # Errors
/// When something cannot be read.
pub async fn seen(client: &RestartClient, spec: &RestartRequestSpec) -> Result<Preview, Error> {
    let mut request = unborn(client, spec);
    request.spec.force = true;
    let seen = preview(client.kube(), client.namespace(), request, Restart::default(), None).await;
    seen.map_err(|error| Error::Invalid(error.to_string()))
}

/// The controller's configuration, and whether it could be read.
async fn limits(client: &RestartClient, place: &Where) -> (Restart, bool) {
    let api: Api<ConfigMap> = Api::namespaced(client.kube().clone(), &place.controller_namespace);
    let found = api.get_opt("restart-controller").await.ok().flatten();
    let text = found.and_then(|map| map.data?.get("config.yaml").cloned());
    match text.and_then(|text| Restart::parse(&text).ok()) {
        Some(limits) => (limits, true),
        None => (Restart::default(), false),
    }
}

/// The key that the controller publishes, or this namespace's copy of it.
async fn keys(client: &RestartClient, place: &Where) -> Option<Trusted> {
    for namespace in [&place.controller_namespace, client.namespace()] {
        let api: Api<ConfigMap> = Api::namespaced(client.kube().clone(), namespace);
        let text = api.get_opt(OBJECT).await.ok().flatten().and_then(|map| map.data?.get(PUBLIC).cloned());
        if let Some(keys) = text.and_then(|text| Trusted::published(&text)) {
            return Some(keys);
        }
    }
    None
}

/// Whether the caller may; no answer is no.
pub async fn may(client: &RestartClient, verb: &str, group: &str, resource: &str, name: Option<&str>) -> bool {
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(kind, sub)| (kind, Some(sub)));
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        name: name.map(str::to_owned),
        namespace: Some(client.namespace().to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let api = Api::<SelfSubjectAccessReview>::all(client.kube().clone());
    let answer = api.create(&PostParams::default(), &review).await;
    answer.ok().and_then(|answer| answer.status).is_some_and(|status| status.allowed)
}

/// A request for nothing but looking.
#[must_use]
pub fn looking(target: TargetRef) -> Ask {
    Ask::new(target, "kubectl restart looks what would happen")
}
