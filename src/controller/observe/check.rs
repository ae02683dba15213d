//! Check: may this workload be restarted at all? Each verdict says what is wrong, with which object, and what to do.
//!
//! **Invariant:** pure and without any write; the first verdict found is the answer.

use crate::api::{Code, StrategyType, names};
use crate::controller::config::Restart;
use crate::controller::facts::{Facts, PodFacts};
use crate::controller::keys::Trusted;
use crate::controller::observe::ailments::UNEXPLAINED;
use crate::controller::observe::rollout::{Rollout, rollout};
use crate::controller::observe::silence::Awaited;
use crate::controller::observe::{budget, configuration, endpoints, gate, pods, traffic};
use crate::controller::workload::Workload;
use crate::machine::{self, Observed, PlannedPod, Verdict};
use crate::wire;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod, PodSpec, Service};

/// Nothing, or why not.
pub type Finding = Result<(), Verdict>;

/// Why not.
pub fn verdict<T>(code: Code, message: String) -> Result<T, Verdict> {
    Err(Verdict { code, message })
}

/// One thing that is looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What must hold.
    pub what: &'static str,
    /// Whether it does.
    pub finding: Finding,
}

/// What a restart would do with pods that are not Ready, each by name and with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// They would go first, all at once.
    pub first: Vec<String>,
    /// They would be passed over.
    pub passed_over: Vec<String>,
}

impl Exceptions {
    /// From the list that would be written.
    #[must_use]
    pub fn new(observed: &Observed) -> Self {
        let listed = machine::listed(observed);
        let named = |chosen: fn(&PlannedPod) -> bool| {
            let name = |pod: &PlannedPod| {
                // A pod without an ailment is passed over for the sake of the order alone.
                let above =
                    pod.passed_over.then_some("its StatefulSet starts it again only when every pod below it is Ready");
                let ailment = observed.pod(&pod.uid).and_then(|seen| seen.ailment.as_deref());
                let ailment = ailment.filter(|ailment| *ailment != UNEXPLAINED);
                ailment.or(above).map_or_else(|| pod.name.clone(), |reason| format!("{} ({reason})", pod.name))
            };
            listed.iter().filter(|pod| chosen(pod)).map(name).collect()
        };
        Self { first: named(|pod| pod.unready && !pod.passed_over), passed_over: named(|pod| pod.passed_over) }
    }
}

/// The first reason why the restart may not begin.
#[must_use]
pub fn check(facts: &Facts, limits: &Restart, keys: &Trusted, awaited: &Awaited) -> Option<Verdict> {
    checks(facts, limits, Some(keys), awaited).into_iter().find_map(|check| check.finding.err())
}

/// All checks, in the order in which they decide. Without `keys` the result has no check of the sidecars' keys. A sidecar that
/// does not answer, and for which the controller still waits, fails no check.
#[must_use]
pub fn checks(facts: &Facts, limits: &Restart, keys: Option<&Trusted>, awaited: &Awaited) -> Vec<Check> {
    let mut all = vec![Check { what: "the request is within the controller's limits", finding: spec(facts, limits) }];
    let mut add = |what, finding| all.push(Check { what, finding });
    let Some(workload) = &facts.workload else {
        add("the workload exists", missing(facts));
        return all;
    };
    add("the workload exists, is nobody else's and is not paused", target(workload));
    add("no other template is held back", template(facts, workload));
    if facts.resolved.strategy == StrategyType::Surge {
        add("a replacement has room beside each pod", surge(facts, workload));
    }
    add("the configuration can be copied and parses", configuration::check(facts, limits));
    let hooks = facts.bad_hook.clone().map_or(Ok(()), |message| verdict(Code::InvalidSpec, message));
    add("the hooks can run", hooks);
    // Pods that come and go are no reason to refuse: the run waits for them first.
    if gate::unsettled(facts).is_none() {
        of_pods(facts, keys, awaited, add);
    }
    all
}

fn of_pods(facts: &Facts, keys: Option<&Trusted>, awaited: &Awaited, mut add: impl FnMut(&'static str, Finding)) {
    let own = || facts.pods.iter().filter(|pod| !pod.terminating() && !pods::foreign(facts, pod));
    let every = |look: &dyn Fn(&PodFacts) -> Finding| own().try_for_each(look);
    add("no Service sends requests to pods that are not ready", every(&|pod| not_ready(facts, pod)));
    add("each pod has at most one PodDisruptionBudget", every(&|pod| one_budget(facts, pod)));
    if !facts.request.spec.force {
        add("each pod has the sidecar, and both wait in their preStop hooks", every(&|pod| sidecar(pod).map(drop)));
        add("all traffic goes through the sidecar", every(&|pod| through(facts, pod)));
        add(
            "each Ready pod's sidecar answers and trusts the controller's key",
            every(&|pod| answers(pod, keys, awaited)),
        );
    }
}

fn missing(facts: &Facts) -> Finding {
    let target = &facts.request.spec.target_ref;
    verdict(
        Code::TargetInvalid,
        format!("{:?} {} does not exist in namespace {}; correct targetRef", target.kind, target.name, facts.namespace),
    )
}

fn spec(facts: &Facts, limits: &Restart) -> Finding {
    let (spec, most) = (&facts.request.spec, limits.max_wait_seconds);
    if let Some(message) = spec.misnamed() {
        return verdict(Code::InvalidSpec, message);
    }
    if facts.resolved.timeout_seconds > most {
        return verdict(
            Code::InvalidSpec,
            format!(
                "timeoutSeconds {} is more than the controller allows (maxWaitSeconds {most}); ask for less",
                facts.resolved.timeout_seconds
            ),
        );
    }
    if facts.resolved.min_seconds > most || facts.resolved.quiet_seconds > most {
        return verdict(
            Code::InvalidSpec,
            format!("spec.drain asks for more than the controller allows (maxWaitSeconds {most}); ask for less"),
        );
    }
    if spec.force && !limits.enable_force_restart {
        return verdict(
            Code::Forbidden,
            "force is disabled in the controller's configuration (enableForceRestart); ask without force".to_owned(),
        );
    }
    Ok(())
}

fn target(workload: &Workload) -> Finding {
    let metadata = workload.metadata();
    if metadata.deletion_timestamp.is_some() {
        return verdict(Code::TargetInvalid, format!("{workload} is being deleted"));
    }
    if let Some(owner) = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true)) {
        return verdict(
            Code::TargetInvalid,
            format!("{workload} is controlled by {} {}; restart that instead", owner.kind, owner.name),
        );
    }
    if workload.paused() {
        return verdict(
            Code::TargetInvalid,
            format!("{workload} is paused; run kubectl rollout resume deployment/{} first", workload.name()),
        );
    }
    Ok(())
}

/// A restart replaces pods by what they are; it does not roll a template out that somebody holds back.
fn template(facts: &Facts, workload: &Workload) -> Finding {
    let allowed = facts.request.spec.strategy.as_ref().is_some_and(|strategy| strategy.allow_disruption);
    match rollout(workload, &facts.pods) {
        Rollout::Stopped(message) if !allowed => verdict(Code::TargetInvalid, message),
        Rollout::Stopped(_) | Rollout::Settled | Rollout::UnderWay(_) => Ok(()),
    }
}

/// What stands in the way of one pod more than `replicas`, or would treat a detached pod as somebody else's.
fn surge(facts: &Facts, workload: &Workload) -> Finding {
    let strategy = || workload.deployment()?.spec.as_ref()?.strategy.as_ref()?.type_.as_deref();
    if strategy() == Some("Recreate") {
        return verdict(
            Code::TargetInvalid,
            format!("{workload} has strategy Recreate, which never runs two pods at once; use strategy.type: Rolling"),
        );
    }
    if let Some(claim) = facts.exclusive_claims.first() {
        return verdict(
            Code::TargetInvalid,
            format!(
                "the pods of {workload} share the ReadWriteOnce volume claim {claim}, which a replacement could not mount; use strategy.type: Rolling"
            ),
        );
    }
    if let Some(user) = facts.hash_selectors.first() {
        return verdict(
            Code::TargetInvalid,
            format!(
                "{user} selects by {}, which a detached pod has not; use strategy.type: Rolling",
                names::POD_TEMPLATE_HASH
            ),
        );
    }
    if let Some(adopter) = facts.adopters.first() {
        return verdict(
            Code::TargetInvalid,
            format!("{adopter} selects the pods of {workload} and would adopt them; give it a selector of its own"),
        );
    }
    Ok(())
}

fn not_ready(facts: &Facts, pod: &PodFacts) -> Finding {
    let published =
        |service: &&Service| service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    let Some(service) = endpoints::services_of(&facts.surroundings, pod).into_iter().find(published) else {
        return Ok(());
    };
    let name = service.metadata.name.as_deref().unwrap_or_default();
    verdict(
        Code::TargetInvalid,
        format!("Service {name} has publishNotReadyAddresses: it would send requests to drained pods; unset it"),
    )
}

fn one_budget(facts: &Facts, pod: &PodFacts) -> Finding {
    let budgets = budget::of(facts, pod);
    if budgets.len() < 2 {
        return Ok(());
    }
    let names: Vec<&str> = budgets.iter().filter_map(|budget| budget.metadata.name.as_deref()).collect();
    verdict(
        Code::TargetInvalid,
        format!(
            "Pod {} is selected by more than one PodDisruptionBudget ({}), which Kubernetes answers with an error; keep one",
            pod.name(),
            names.join(", ")
        ),
    )
}

/// The zero stands on the sidecar, both hooks, the way of the traffic, and the key.
fn sidecar(pod: &PodFacts) -> Result<&Container, Verdict> {
    let Some(container) = pod.sidecar() else {
        return verdict(
            Code::SidecarUnavailable,
            format!(
                "Pod {} has no container {}; add the sidecar to the pod template, or ask with force",
                pod.name(),
                names::SIDECAR_CONTAINER
            ),
        );
    };
    pre_stop_hooks(&pod.pod, container).map(|()| container)
}

/// A pod without a sidecar has been spoken of.
fn through(facts: &Facts, pod: &PodFacts) -> Finding {
    sidecar(pod).map_or(Ok(()), |container| traffic::check(&facts.surroundings, pod, container))
}

/// A pod that is not Ready serves no Service: it goes first, and drains while it terminates if its sidecar is silent.
fn answers(pod: &PodFacts, keys: Option<&Trusted>, awaited: &Awaited) -> Finding {
    if !pods::is_ready(&pod.pod) || awaited.has(pod) {
        return Ok(());
    }
    let name = pod.name();
    match (&pod.report, keys) {
        (None, _) => {
            verdict(Code::SidecarUnavailable, format!("the sidecar of Pod {name} does not answer: {}", pod.silence))
        }
        (Some(report), Some(keys)) if !keys.obeyed(&report.trusted_keys) => verdict(
            Code::SidecarUnavailable,
            format!(
                "the sidecar of Pod {name} does not trust the controller's key {}; give it the key in ConfigMap restart-controller-keys",
                keys.id()
            ),
        ),
        (Some(_), _) => Ok(()),
    }
}

/// Whether the hook waits for the drain, by itself or by the sidecar's program.
fn is_wait(hook: &LifecycleHandler) -> bool {
    let path = hook.http_get.as_ref().and_then(|get| get.path.as_deref());
    let command = hook.exec.as_ref().and_then(|exec| exec.command.as_ref());
    path == Some(wire::WAIT_DRAINED_PATH)
        || command.and_then(|command| command.get(1)).is_some_and(|verb| verb == wire::WAIT_DRAINED_VERB)
}

/// Without both hooks a pod that anybody deletes loses requests (232 of 3,838 measured, DESIGN 6).
fn pre_stop_hooks(pod: &Pod, sidecar: &Container) -> Finding {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let hook = |container: &Container| container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone());
    if hook(sidecar).is_none_or(|hook| hook.exec.is_none()) {
        return verdict(
            Code::TargetInvalid,
            format!(
                "the sidecar of Pod {name} has no preStop hook; add exec: [/restart-sidecar, terminating], or ask with force"
            ),
        );
    }
    let waits = |container: &Container| hook(container).is_some_and(|hook| is_wait(&hook));
    let apps = pod
        .spec
        .as_ref()
        .map(|spec: &PodSpec| spec.containers.iter().filter(|container| container.name != names::SIDECAR_CONTAINER));
    if apps.is_some_and(|mut apps| !apps.any(waits)) {
        return verdict(
            Code::TargetInvalid,
            format!(
                "no container of Pod {name} waits in its preStop hook; add httpGet: {{port: {}, path: {}}}, or ask with force",
                wire::ADMIN_PORT,
                wire::WAIT_DRAINED_PATH
            ),
        );
    }
    Ok(())
}
