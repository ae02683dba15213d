//! `kubectl restart cancel`: possible until the first pod is touched.
//!
//! **Invariant:** done is said only when the controller has said so.

use super::args::{DryRun, Format, Global};
use super::connect::connect;
use super::exit::Exit;
use super::output::{full_name, name, print_objects};
use super::pick::Pick;
use crate::api::{Phase, RestartRequest};
use crate::client::words::phase;
use crate::client::{Error, RestartClient};
use futures::StreamExt as _;
use std::time::Duration;

/// The controller answers in a second; without it nothing does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Which one.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A workload (KIND/NAME: its restart under way) or the name of a request
    #[arg(value_name = "KIND/NAME|NAME")]
    pub which: Pick,
    /// Only ask whether it would be accepted
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    pub dry_run: DryRun,
    /// Wait until the controller has answered
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL")]
    pub wait: bool,
    /// What to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// The verb.
///
/// # Errors
/// When it is too late, and when the cluster cannot be reached or refuses.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let request = args.which.find(&client).await?;
    let dry = args.dry_run == DryRun::Server;
    let mut request = client.cancel(&request, dry).await?;
    let mut exit = Exit::Done;
    if args.wait && !dry {
        (exit, request) = answered(&client, request).await?;
    }
    if args.output.for_programs() {
        print_objects(args.output, &[request])?;
    } else if exit == Exit::Done {
        let word = if dry {
            "cancelled (server dry run)"
        } else if args.wait {
            "cancelled"
        } else {
            "asked to cancel"
        };
        println!("{} {word}", full_name(&request));
    }
    Ok(exit)
}

async fn answered(client: &RestartClient, request: RestartRequest) -> Result<(Exit, RestartRequest), Error> {
    let wait = async {
        let mut last = request.clone();
        let mut changes = std::pin::pin!(client.follow(name(&request)));
        while let Some(change) = changes.next().await {
            let Some(next) = change? else { break };
            last = next;
            if phase(&last).is_terminal() || rejected(&last) {
                break;
            }
        }
        Ok(last)
    };
    let Ok(done) = tokio::time::timeout(ANSWERED_WITHIN, wait).await else {
        eprintln!(
            "the controller has not answered within {ANSWERED_WITHIN:?}; is it running? kubectl restart doctor says more"
        );
        return Ok((Exit::TimedOut, request));
    };
    let last: RestartRequest = done?;
    if phase(&last) == Phase::Cancelled {
        return Ok((Exit::Done, last));
    }
    Err(Error::CannotCancel(format!(
        "{} came too late: the restart is in phase {} and goes on to a safe end",
        full_name(&last),
        phase(&last).word()
    )))
}

fn rejected(request: &RestartRequest) -> bool {
    let conditions = request.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.condition_type == "CancelRejected")
}
