//! Writes what is learnt of a workload while no run holds it: last-known-good, and that a restore was taken back.
//!
//! **Invariant:** each is one compare-and-swap on the history that was read without an active run: a run that begins
//! meanwhile wins.

use super::Done;
use super::config_maps::{self, params};
use super::history;
use crate::api::bounds::CONFIG_MAPS;
use crate::api::{LastKnownGood, RestartHistory, RestartHistoryStatus};
use crate::controller::context::{Context, call};
use crate::controller::error::Error;
use crate::controller::facts::{ConfigMapFacts, Facts};

/// Makes the present content of these ConfigMaps last-known-good; the history is made if there is none.
pub async fn learn(ctx: &Context, facts: &mut Facts, good: &[String]) -> Result<Done, Error> {
    let history = match facts.history.take() {
        Some(history) => history,
        None => history::create(ctx, facts).await?,
    };
    facts.history = Some(history.clone());
    let learnt: Vec<&ConfigMapFacts> =
        facts.config.iter().filter(|config| good.contains(&config.entry.name)).take(CONFIG_MAPS).collect();
    for config in &learnt {
        if config_maps::copy_candidate(ctx, facts, config).await? == Done::NotNow {
            // It was edited meanwhile: the next event of a pod, or of the ConfigMap, brings another look.
            return Ok(Done::NotNow);
        }
    }
    // Listed before the write, deleted after it: what a run copies that begins in between is not among them.
    let surplus = history::surplus(ctx, facts, good).await?;
    let mut status = history.status.clone().unwrap_or_default();
    status.runs.truncate(usize::try_from(ctx.config.current().history_limit).unwrap_or(0).max(1));
    for config in learnt {
        let entry = &config.entry;
        history::now_good(
            &mut status.last_known_good,
            LastKnownGood {
                config_map: entry.name.clone(),
                snapshot: entry.candidate.clone(),
                sha256: entry.candidate_sha256.clone(),
            },
        );
    }
    write(ctx, facts, history, status, "write last-known-good into").await?;
    history::delete_copies(ctx, facts, surplus).await?;
    Ok(Done::Yes)
}

/// Writes down that the last run's restore of these ConfigMaps was taken back.
pub async fn reverted(ctx: &Context, facts: &Facts, maps: &[&str]) -> Result<(), Error> {
    let Some(history) = facts.history.clone() else { return Ok(()) };
    let mut status = history.status.clone().unwrap_or_default();
    let restored = status.runs.first_mut().into_iter().flat_map(|run| &mut run.restored);
    restored
        .filter(|restored| maps.contains(&restored.config_map.as_str()))
        .for_each(|restored| restored.reverted = true);
    write(ctx, facts, history, status, "write what was taken back into").await
}

async fn write(
    ctx: &Context,
    facts: &Facts,
    history: RestartHistory,
    status: RestartHistoryStatus,
    verb: &str,
) -> Result<(), Error> {
    let name = history.metadata.name.clone().unwrap_or_default();
    let what = format!("{verb} RestartHistory {}/{name}", facts.namespace);
    let next = RestartHistory { status: Some(status), ..history };
    call(what, history::api(ctx, facts).replace_status(&name, &params(), &next)).await.map(drop)
}
