//! `kubectl restart watch`: follows a restart that somebody asked for.
//!
//! **Invariant:** the same view and the same exit codes as of one that was just asked for.

use super::args::{Format, Global, Wait};
use super::connect::connect;
use super::exit::Exit;
use super::follow::{Follow, verdict};
use super::output::print_objects;
use super::pick::Pick;
use crate::client::Error;
use crate::client::words::phase;

/// Which one.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A workload (KIND/NAME: the restart under way, else the newest) or the name of a request
    #[arg(value_name = "KIND/NAME|NAME")]
    pub which: Pick,
    #[command(flatten)]
    pub limit: Wait,
    /// What to print at the end
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// The verb.
///
/// # Errors
/// When the cluster cannot be reached or refuses, or there is no such restart.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let request = args.which.find(&client).await?;
    let (exit, request) = if phase(&request).is_terminal() {
        if !args.output.for_programs() {
            println!("{}", verdict(&request));
        }
        (Exit::of(&request), request)
    } else {
        Follow { client: &client, global, wait: &args.limit, format: args.output }.follow(request, None).await?
    };
    if args.output.for_programs() {
        print_objects(args.output, &[request])?;
    }
    Ok(exit)
}
