//! What is shown, one file per subject.
//!
//! **Invariant:** every row of the table and every bad input is a scenario with a sentence for its name.

mod budgets;
mod control;
mod controller_killed;
mod failing_configuration;
mod force;
mod hooks;
mod injection;
mod input;
mod killed_by_others;
mod known_good;
mod last_pod;
mod late_requests;
mod max_parallel;
mod meanwhile;
mod nodes;
mod observe;
mod promises;
mod restarts;
mod slow_requests;
mod soak;
mod unhealthy;
mod waits_end;
mod without_us;
mod workloads;

use crate::scenario::{Act, Scenario};
use input::{capacity, configuration, lifecycle, lock, queue, schema, sidecar, target, time_to_live, trigger};

/// A sentence, a namespace, and the function that shows it.
macro_rules! scenarios {
    ($($sentence:literal, $namespace:literal, $act:path;)*) => {
        vec![$({
            let act: Act = |space| Box::pin($act(space));
            Scenario { sentence: $sentence, namespace: $namespace, act }
        }),*]
    };
}

/// Under full load; their figures are the ones that are quoted.
pub fn alone() -> Vec<Scenario> {
    scenarios! {
        "ten restarts of three replicas under 200 requests a second lose nothing", "restarts", restarts::ten;
        "promises with a time: the first status, a cancel, a way back, a deletion", "promises", promises::kept;
        "a plain rollout restart without the sidecar loses requests", "control", control::plain_rollout;
        "a node drained in mid-run, with a budget: both go through", "node", meanwhile::node::drained;
        "deleted, scaled and rolled out by others with the sidecar: nothing is lost", "others", killed_by_others::delete_scale_rollout;
    }
}

/// Under load, beside each other, the longest first.
pub fn under_load() -> Vec<Scenario> {
    scenarios! {
        "three replicas under every budget: completed or refused as it must be", "three-replicas", budgets::three_replicas;
        "one replica under every budget: Surge completes, Rolling is refused", "one-replica", budgets::one_replica;
        "a StatefulSet goes highest ordinal first, and a broken pod of it is healed", "ordered", workloads::stateful_set;
        "a bad configuration edited in place is restored and stops no pod", "bad-in-place", failing_configuration::in_place;
        "a bad configuration that is promoted is restored and stops no pod", "bad-promoted", failing_configuration::promoted;
        "a new pod that loses readiness in the soak fails the run and is put back", "soak-unready", soak::loses_readiness;
        "a new pod that restarts in the soak fails the run and is put back", "soak-restart", soak::restarts;
        "late requests are rejected by cordoned pods alone and served elsewhere", "reject", late_requests::rejected;
        "force waits for no request, the pods' own end for those it has time for", "force", force::under_load;
        "maxParallel as a count and a percentage: never more pods at once", "parallel", max_parallel::count_and_percent;
        "a hook that fails after the restart: everything goes back and nothing is lost", "hook-after", hooks::http::failing_after;
        "the sidecar injected by the policy into pods that ask for it: nothing is lost", "injected", injection::by_policy;
        "the sidecar put in by the kustomize component: nothing is lost", "component", injection::by_component;
        "a last pod goes with permission under load: connections are refused and no request is cut", "last-pod", last_pod::goes_under_load;
        "a sidecar that only observes: a restart loses nothing of clients that keep no connection", "observe", observe::restarted;
        "requests that outlast the timeout: Fail gives everything back", "slow-fail", slow_requests::fail;
        "requests that outlast the timeout: Proceed cuts those alone", "slow-proceed", slow_requests::proceed;
    }
}

/// The world moves while a restart is under way; lightly loaded, so that more of them fit beside each other.
pub fn meanwhile() -> Vec<Scenario> {
    scenarios! {
        "the controller's configuration changed and broken in mid-run: the run keeps its own", "configured", meanwhile::controller_configured::changed_and_broken;
        "Services edited and deleted in mid-run: the run completes", "services", meanwhile::service::edited_and_deleted;
        "scaled up and down in mid-run: the run completes", "scaled", meanwhile::scaled::up_and_down;
        "pods deleted by others in mid-run: the run completes", "pods-deleted", meanwhile::pods_deleted::by_somebody_else;
        "one pod hangs and the edit is good: it goes first, the edit stays", "hung", unhealthy::hung;
        "the lowest pod of a StatefulSet hangs: it goes first, the others follow", "hung-ordered", unhealthy::of_a_stateful_set;
        "somebody's own rollout in mid-run is left alone", "rollout", meanwhile::rollout::by_somebody_else;
        "the definition upgraded in mid-run: the run completes", "definition", meanwhile::definition::upgraded;
        "a promoted ConfigMap deleted in mid-run is not made anew", "map-deleted", meanwhile::configuration::deleted;
        "a promoted ConfigMap edited in mid-run is not written over", "map-edited", meanwhile::configuration::edited;
        "scaled to zero in mid-run: the run completes", "to-zero", meanwhile::scaled::to_zero;
    }
}

/// On three nodes, of which one is lost, drained or late: no other scenario may need it meanwhile.
pub fn of_nodes() -> Vec<Scenario> {
    scenarios! {
        "a node lost before the run: a Deployment is restarted whole, other kinds around it", "node-lost", nodes::lost::before_the_run;
        "a node lost in mid-run, Surge and Rolling: the runs end, the edit stays", "node-lost-in-run", nodes::lost_meanwhile::in_the_run;
        "one of three nodes drained in mid-run: both go through, nothing is lost", "node-drained", nodes::drained::in_the_run;
        "Local traffic policies: the last pod of a node is refused, all at once loses nothing", "node-local", nodes::local::policies;
        "a kube-proxy that is late: pods stay as long as requests come to them", "node-proxy", nodes::kube_proxy::late;
        "a spread without room for one more pod: Surge says so, Rolling needs none", "node-spread", nodes::spread::without_room;
    }
}

/// The controller dies: nobody else may need it meanwhile.
pub fn controller_killed() -> Vec<Scenario> {
    scenarios! {
        "the controller killed in every phase of Surge loses and repeats nothing", "kill-surge", controller_killed::surge;
        "the controller killed in every phase of Rolling loses and repeats nothing", "kill-rolling", controller_killed::rolling;
        "the controller killed while a failure is put back: everything is back", "kill-recovering", controller_killed::recovering;
        "the controller killed while hooks run: a Job ran once, a request was sent with one key", "kill-hooks", hooks::killed::job_and_request;
        "without copies: from and reload: false are refused, a restart is not; two runs are kept", "no-copies", known_good::configured::without_copies;
        "the controller killed for good: the cordoned pod is back within 33 s", "kill-for-good", controller_killed::for_good;
        "without a controller, release puts back what it can and nothing holds up a deletion", "released", without_us::released;
        "the definitions deleted and restored: told, and served again", "definitions", without_us::definitions_deleted;
    }
}

/// Refusals and other cases that need no load, the longest first.
pub fn without_load() -> Vec<Scenario> {
    scenarios! {
        "a StatefulSet's last endpoint, pending template and no pods at all", "ordered-alone", workloads::stateful_set_alone;
        "a StatefulSet with a partition keeps both of its revisions", "partition", workloads::partition;
        "a DaemonSet's last endpoint goes only with permission", "daemon", workloads::daemon_set;
        "deleted while it runs: the pods are back, then the request is gone", "deleted", lifecycle::deleted_while_running;
        "configuration that two workloads share is restored, or kept for the other", "shared", known_good::shared::restored_or_kept;
        "last-known-good appears and follows the pods, never ahead of one", "baseline", known_good::baseline::follows_the_pods;
        "edited together with the request: back to the baseline; taken back: told", "commit", known_good::baseline::in_place_with_the_request;
        "a request stripped of its finalizer and deleted: the run is put back", "orphan", known_good::orphan::put_back;
        "a RestartHistory deleted, idle and in mid-run: it is learnt again", "history-deleted", without_us::history_deleted;
        "StatefulSets and DaemonSets have a baseline, and it goes with them", "kinds-good", known_good::baseline::of_other_kinds;
        "an immutable ConfigMap made anew: the pods go back, the ConfigMap cannot, and it is told", "made-immutable", known_good::bytes::immutable_live;
        "every way to read a ConfigMap is restored byte for byte, and data leaks nowhere", "bytes", known_good::bytes::all_back;
        "kubectl get rh shows each phase; it outlives requests and dies with the workload", "history", known_good::history::shows_each_phase;
        "a second budget in mid-run: said, and the run ends by its deadline", "two-budgets", waits_end::a_second_budget;
        "the Deployment deleted in foreground in mid-run: the run and the Deployment end", "foreground", waits_end::a_foreground_deletion;
        "every pod exits again and again: the fix and one restart heal all at once", "all-broken", unhealthy::all_of_them;
        "a sidecar that is late with one probe, and not with the next, keeps its pod in its Services", "late-probe", unhealthy::late_with_one_probe;
        "force with sidecars that trust another key completes", "lost-key", waits_end::a_key_that_was_lost;
        "reload: false is refused on drift and completes without", "reload", known_good::reload::holds_to_what_is_known;
        "cancel comes too late: it is rejected and the run completes", "cancel-late", lifecycle::cancelled_too_late;
        "requests that queue run one after the other, the oldest first", "queue", queue::oldest_first;
        "another trigger asks for one more run, the same manifest for none", "trigger", trigger::asks_for_one_more;
        "a request made anew with its old trigger ends at once as before", "made-anew", trigger::made_anew;
        "the lock edited in mid-run: the run stops where it is and says so", "lock", lock::edited;
        "two requests at once: the second is refused", "two", lifecycle::two_at_once;
        "hooks over HTTP are called once each and told what is restarted", "hooks-http", hooks::http::called_once;
        "a hook that fails before the restart: nothing is touched, or it is ignored", "hook-before", hooks::http::failing_before;
        "a Job checks the candidate before it is promoted", "hook-job", hooks::job::checks_the_candidate;
        "cancelled and deleted while a hook's Job runs: the Job is gone", "hook-ended", hooks::ended::cancelled_and_deleted;
        "hooks that call what they may not fail when they are called", "hook-calls", hooks::refused::when_called;
        "hooks that can only fail are refused before the run", "hook-refused", hooks::refused::before_the_run;
        "a hook's Job that never starts says what it waited for", "hook-image", hooks::job::never_starts;
        "a replacement that a quota forbids: said soon, given up, put back", "no-room", capacity::no_room_for_a_replacement;
        "a replacement that no node takes: said soon, given up, put back", "no-node", capacity::no_node_for_a_replacement;
        "a pod without a sidecar is refused, and restarted with force", "no-sidecar", sidecar::missing;
        "a namespace deleted in mid-run is gone within a minute", "gone", meanwhile::namespace::deleted;
        "a finished request goes after its time, a GitOps tool's stays", "ttl", time_to_live::ends;
        "a made-up status is ignored", "made-up", lifecycle::made_up_status;
        "cancel while Pending ends it", "cancel-pending", lifecycle::cancelled_while_pending;
        "cancel from the beginning touches nothing", "cancel-first", lifecycle::cancelled_before_it_begins;
        "a sidecar that does not trust the key is refused", "distrustful", sidecar::distrustful;
        "a sidecar without its preStop hook is refused", "no-hook", sidecar::without_its_hook;
        "an app without its preStop hook is refused", "no-app-hook", sidecar::without_the_apps_hook;
        "an unknown target is refused", "unknown", target::unknown;
        "a paused Deployment is refused", "paused", target::paused;
        "a timeout beyond the controller's limit is refused", "timeout", target::timeout_too_long;
        "strategy Recreate with Surge is refused", "recreate", target::recreate;
        "a volume claim that one pod alone can mount is refused with Surge", "claim", target::exclusive_claim;
        "a Service whose named port bypasses the sidecar is refused", "bypass", target::bypass;
        "a Service that publishes addresses that are not ready is refused", "not-ready", target::publishes_not_ready;
        "a copy that a quota refuses stops the restart", "quota", configuration::copy_refused_by_quota;
        "an immutable ConfigMap as the target of a promotion is refused", "immutable", configuration::immutable_target;
        "a ConfigMap edited just before its promotion is not written over", "map-conflict", configuration::edited_before_promotion;
        "a candidate that does not exist is refused", "no-candidate", configuration::missing_candidate;
        "a ConfigMap that does not exist is refused", "no-map", configuration::missing_map;
        "a candidate that does not parse is refused", "no-parse", configuration::candidate_that_does_not_parse;
        "the API server refuses what is out of bounds", "bounds", schema::refuses_what_is_out_of_bounds;
        "the API server refuses what contradicts itself", "contradictions", schema::refuses_contradictions;
        "the API server refuses changes of a request", "changes", schema::refuses_changes;
        "the API server refuses another end of an ended request", "another-end", schema::refuses_another_end;
    }
}
