//! The load client: sends requests at their due times whatever becomes of them, and proves what became of each.
//!
//! The road of a request: [`spec`] says when and of what shape → [`request`] sends it over a [`connection`], new or
//! kept → [`record`] takes down the outcome → [`report`] compares the outcomes with the [`ledger`], the service's own
//! account.
//!
//! **Invariant:** no failure is excused without proof: only a kept connection that the server closed in the round trip
//! in which the request was sent is tried again, once, and if the ledger shows that the first attempt had been received
//! after all, the request counts as failed.

mod connection;
mod control;
mod ledger;
mod record;
mod report;
mod request;
mod run;
mod shape;
mod spec;
#[cfg(test)]
mod tests;

use crate::http::{self, listen};
use clap::Args;
use std::net::SocketAddr;
use std::sync::Arc;

/// The arguments of `sample load`.
#[derive(Args)]
pub struct Options {
    /// The address of the control API: POST /start, GET /status, POST /stop, GET /report.
    #[arg(long, default_value = "0.0.0.0:8080")]
    control: SocketAddr,
    /// The address at which services report what they began and ended.
    #[arg(long, default_value = "0.0.0.0:9090")]
    ledger: SocketAddr,
}

/// Serves the control API and the ledger until a signal ends it.
pub async fn run(options: Options) -> Result<(), String> {
    crate::app::die_at_sigterm()?;
    let ledger = Arc::new(ledger::Ledger::default());
    tokio::spawn(ledger::serve(listen(options.ledger).await?, Arc::clone(&ledger)));
    let control = Arc::new(control::Control::new(ledger));
    let listener = listen(options.control).await?;
    println!("sample: control API on {}, ledger on {}", options.control, options.ledger);
    http::serve(listener, move |request| control::route(Arc::clone(&control), request)).await;
    Ok(())
}
