//! The stations of a plan: everything is ready, the request goes its way, its end is judged.
//!
//! **Invariant:** the faults begin with the request: what is made ready before it is not disturbed.

use crate::end::End;
use crate::judge::oracle::{Known, Undisturbed, differs, is_refused, is_refused_map};
use crate::judge::{self, Before};
use crate::path::{Path, Story};
use crate::plan::Plan;
use crate::proxy::{Proxy, Seen};
use crate::story;
use crate::support::Result;
use crate::support::load::Report;
use crate::support::request::{condition, sentence};
use crate::support::wait::{Look, until, when};
use crate::verdict::Verdict;
use crate::world::lane::Lane;
use crate::world::pods::Pods;
use crate::world::space::Space;
use futures::future::{Either, select};
use kube::ResourceExt as _;
use restart_controller::api::{ConditionStatus, Phase, RestartRequest};
use serde_json::json;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time of an undisturbed run, on a machine that has too much to do as well.
const TERMINAL: Duration = Duration::from_secs(400);

/// A plan in its namespace.
pub struct Run<'a> {
    /// Where it runs.
    pub lane: &'a Lane,
    /// The plan.
    pub plan: &'a Plan,
    /// The namespace.
    pub space: &'a Space,
    /// When it began.
    pub begun: Instant,
    /// Before its controllers.
    pub proxy: Arc<Proxy>,
    /// Its pods.
    pub pods: Pods,
    /// What has come of it so far.
    pub verdict: Verdict,
}

impl Run<'_> {
    fn path(&self) -> Path {
        self.plan.path
    }

    /// It cannot be judged.
    pub fn void(mut self, why: &str) -> Verdict {
        self.verdict.wrong.push(why.to_owned());
        self.verdict.void = true;
        self.verdict
    }

    /// Everything that has to be there before the request.
    pub async fn ready(&self) -> Result<Before> {
        self.space.settled(&self.pods, 180).await?;
        let address = self.space.served().await?;
        if self.path().is_under_load() {
            self.lane.world.load.run(&self.lane.name, &address).await?;
        }
        if self.path().has_baseline() {
            self.baseline().await?;
        }
        story::prepare(self.space, self.path().story).await?;
        Before::look(self.space, &self.pods).await
    }

    async fn baseline(&self) -> Result {
        until("the baseline", 180, async || {
            let status = self.space.history().await?.and_then(|history| history.status).unwrap_or_default();
            let known = !status.last_known_good.is_empty();
            Ok(when(known, || "nothing is known to be good".into()))
        })
        .await
    }

    /// From the request to its end.
    pub async fn through(&mut self, before: &Before) -> Result {
        let begun = Instant::now();
        self.proxy.arm();
        self.space.create_or_leave(story::request(self.space, self.path())).await?;
        let turns = story::turns(self.space, self.path(), &self.proxy, &self.pods, &before.pods);
        let limit = TERMINAL + self.plan.injections.iter().map(|one| one.fault.costs()).sum::<Duration>();
        let ended = match select(pin!(self.ended(limit)), pin!(turns)).await {
            // The run has failed by a write that was refused for good, maybe before the story's turn came.
            Either::Left((ended, _)) if self.is_refused() => ended,
            Either::Left((ended, turns)) => turns.await.and(ended),
            Either::Right((turned, ended)) => ended.await.and(turned),
        };
        self.verdict.took = begun.elapsed();
        ended?;
        if !self.is_gone().await? && !self.is_left_as_it_is().await? {
            self.space.settled(&self.pods, 180).await?;
        }
        Ok(())
    }

    fn is_refused(&self) -> bool {
        self.plan.injections.iter().any(|one| is_refused(*one))
    }

    /// What was to put the configuration back was refused for good, and the request says so: its pods go on failing.
    async fn is_left_as_it_is(&self) -> Result<bool> {
        let status = self.space.request().await?.and_then(|request| request.status);
        let restored = status.as_ref().and_then(|status| condition(status, "Restored"));
        let refused = self.plan.injections.iter().any(|one| is_refused_map(*one));
        Ok(refused && restored == Some(ConditionStatus::False))
    }

    async fn is_gone(&self) -> Result<bool> {
        Ok(self.path().story == Story::NamespaceDeletion && self.space.is_gone().await?)
    }

    async fn ended(&self, limit: Duration) -> Result {
        until("the end", limit.as_secs(), async || {
            if self.is_gone().await? {
                return Ok(Look::Done(()));
            }
            Ok(match self.space.request().await? {
                Some(request) => self.has_finished(request),
                None if self.path().story == Story::Delete => Look::Done(()),
                None => Look::NotYet("there is no request".into()),
            })
        })
        .await
    }

    /// A finished request is the end of a story that keeps it. It is the end of the others as well where a refusal for
    /// good ended the restart before the story's turn, because then the deletion never comes.
    fn has_finished(&self, request: RestartRequest) -> Look<()> {
        let held = !request.finalizers().is_empty();
        let status = request.status.unwrap_or_default();
        let keeps = self.path().story.keeps_request() || self.is_refused();
        let over = keeps && !held && status.phase.is_some_and(Phase::is_terminal);
        if over { Look::Done(()) } else { Look::NotYet(sentence(&status)) }
    }

    /// What the load client says.
    pub async fn stop_load(&mut self) {
        if !self.path().is_under_load() {
            return;
        }
        match self.lane.world.load.stop(&self.lane.name).await {
            Ok(Report { sent, failed, failures, .. }) => {
                (self.verdict.sent, self.verdict.failed) = (sent, failed);
                if failed > 0 {
                    let why = match self.lane.world.neighbours.unanswered(self.begun, &self.pods) {
                        none if none.is_empty() => none,
                        some => format!("; addresses that did not answer to ARP: {some}"),
                    };
                    self.verdict.wrong.push(format!("{failed} of {sent} requests were lost: {}{why}", json!(failures)));
                }
            }
            Err(error) => self.verdict.wrong.push(format!("the load client: {error}")),
        }
    }

    /// Looks at the end.
    pub async fn judge(&mut self, before: &Before, known: &Known) {
        let seen = self.proxy.seen();
        self.verdict.left = self.proxy.left();
        self.verdict.reads = self.proxy.reads();
        let end = match End::of(self.space, self.path().story, &self.pods, &before.pods).await {
            Ok(end) => end,
            Err(error) => return self.verdict.wrong.push(format!("the end could not be looked at: {error}")),
        };
        let run = judge::Known { completed: end.phase == Some(Phase::Completed), refused: self.is_refused() };
        let wrong = if end.gone {
            judge::of_writes(before, &self.pods, &seen)
        } else {
            judge::invariants(self.space, before, &self.pods, &seen, run).await
        };
        self.verdict.wrong.extend(wrong);
        if let Some(undisturbed) = known.get(&self.path().to_string()) {
            self.verdict.wrong.extend(differs(undisturbed, &end, self.path(), &self.plan.injections));
        }
        self.verdict.did = Some(Undisturbed { writes: counted(&seen), end });
    }
}

fn counted(seen: &[Seen]) -> BTreeMap<String, u32> {
    let mut writes = BTreeMap::new();
    for seen in seen.iter().filter(|seen| seen.nth.is_some()) {
        *writes.entry(seen.kind.name().to_owned()).or_default() += 1;
    }
    writes
}
