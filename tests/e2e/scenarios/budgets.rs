//! Every budget, strategy and policy with one replica and with three: completed without a loss, or refused with the
//! right code where it cannot be.
//!
//! **Invariant:** one load runs through all cells of a size, and the budget is watched in each.

use crate::support::app::{App, Template};
use crate::support::budget::Budget;
use crate::support::figures::Figures;
use crate::support::load::Load;
use crate::support::request::{Request, sentence};
use crate::support::space::Space;
use crate::support::{Result, ensure};
use restart_controller::api::{Code, Phase};
use serde_json::{Value, json};

const POLICIES: [Option<&str>; 2] = [None, Some("AlwaysAllow")];

/// One replica: Surge completes under any budget, Rolling never takes the last endpoint.
pub async fn one_replica(space: &Space) -> Result<Figures> {
    cells(space, 1).await
}

/// Three replicas: Surge completes under any budget, Rolling where the budget leaves one to take.
pub async fn three_replicas(space: &Space) -> Result<Figures> {
    cells(space, 3).await
}

/// What a cell must come to.
enum Expected {
    Completed,
    Refused(&'static [Code]),
}

async fn cells(space: &Space, replicas: i32) -> Result<Figures> {
    let app = Template::web()?.replicas(replicas).deploy_with_load(space).await?;
    let load = Load::start(space, "budgets", &app.address().await?, 50, json!({})).await?;
    let (mut completed, mut refused) = (0, 0);
    for rule in [json!({"maxUnavailable": 0}), json!({"minAvailable": replicas}), json!({"maxUnavailable": 1})] {
        for policy in POLICIES {
            for strategy in ["Surge", "Rolling"] {
                let cell = format!("{strategy} under {rule} {}", policy.unwrap_or("default"));
                let done =
                    restart(&app, completed + refused, &rule, policy, strategy, expected(replicas, &rule, strategy))
                        .await;
                let count =
                    if done.map_err(|error| format!("{cell}: {error}"))? { &mut completed } else { &mut refused };
                *count += 1;
            }
        }
    }
    let report = load.stop().await?;
    report.nothing_lost()?;
    let replaced = usize::try_from(replicas)? * completed;
    Ok(Figures::default()
        .load(&report)
        .replaced(replaced)
        .and(format!("{completed} completed, {refused} refused as they must be")))
}

fn expected(replicas: i32, rule: &Value, strategy: &str) -> Expected {
    match (strategy, replicas, rule["maxUnavailable"] == 1) {
        ("Surge", ..) | (_, 3, true) => Expected::Completed,
        (_, 1, true) => Expected::Refused(&[Code::LastEndpoint]),
        // Both are true of the only pod.
        (_, 1, false) => Expected::Refused(&[Code::LastEndpoint, Code::BudgetExhausted]),
        _ => Expected::Refused(&[Code::BudgetExhausted]),
    }
}

/// One cell; tells whether it completed.
async fn restart(
    app: &App<'_>,
    number: usize,
    rule: &Value,
    policy: Option<&str>,
    strategy: &str,
    expected: Expected,
) -> Result<bool> {
    let old = app.uids().await?;
    let budget = Budget::create(app, rule, policy).await?;
    let deadline = if matches!(expected, Expected::Completed) { 120 } else { 4 };
    let spec = json!({"strategy": {"type": strategy, "maxParallel": "100%"}, "progressDeadlineSeconds": deadline});
    let request = Request::apply(app.space, &format!("web-{number}"), app.name, spec).await?;
    let status = request.ended(150).await?;
    app.settled().await?;
    let new = app.uids().await?;
    match &expected {
        Expected::Completed => {
            ensure!(status.phase == Some(Phase::Completed), "not Completed: {}", sentence(&status));
            ensure!(old.is_disjoint(&new), "not every pod was replaced");
        }
        Expected::Refused(codes) => {
            let code = status.code.is_some_and(|code| codes.contains(&code));
            ensure!(status.phase == Some(Phase::Failed) && code, "not refused with {codes:?}: {}", sentence(&status));
            ensure!(old == new, "pods were replaced although the restart was refused");
        }
    }
    budget.remove().await?;
    Ok(matches!(expected, Expected::Completed))
}
