//! Addresses that the node asked for on its bridge and that answered nothing, which a client sees as "No route to host".
//!
//! **Invariant:** this explains a lost request and excuses none.

use crate::world::pods::Pods;
use std::process::Command;

/// The pods of the plan behind such addresses, as the kernel remembers them; empty where there are none.
pub fn unanswered(pods: &Pods) -> String {
    let listed = Command::new("ip").args(["neighbour", "show", "nud", "failed", "nud", "incomplete"]).output();
    let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
    let addresses = listed.lines().filter_map(|line| line.split(' ').next());
    let lives = pods.lives();
    let of = |address: &str| {
        let life = lives.values().find(|life| life.address == address)?;
        Some(format!("{address} ({}, {:?}, ready {})", life.name, life.stage, life.ready))
    };
    addresses.filter_map(of).collect::<Vec<_>>().join(", ")
}
