//! What becomes of a write.
//!
//! **Invariant:** a write that has been let through reaches the API server even if its caller has gone away meanwhile.

use super::answer::{Cut, failure, garbage, whole};
use super::onward::{Answered, Onward};
use super::{Call, Order, Proxy};
use crate::fault::{Fault, When};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for another process to lead and to write.
const OTHER_LEADS: Duration = Duration::from_secs(20);

/// On a task of its own: a caller that gives up does not take the call back.
pub async fn write(proxy: Arc<Proxy>, from: usize, call: Call, send: Onward) -> Answered {
    tokio::spawn(async move {
        let Some((index, fault)) = proxy.state().enter(from, &call) else { return Err(Cut) };
        let sending = Sending { proxy: proxy.clone(), index, send };
        match fault {
            None => sending.now().await,
            Some(fault) => disturbed(&proxy, from, fault, sending).await,
        }
    })
    .await
    .unwrap_or(Err(Cut))
}

struct Sending {
    proxy: Arc<Proxy>,
    index: usize,
    send: Onward,
}

impl Sending {
    async fn now(self) -> Answered {
        let (status, body) = (self.send)(self.proxy.clone()).await.ok_or(Cut)?;
        if let Some(seen) = self.proxy.state().seen.get_mut(self.index) {
            seen.answer = Some(status);
        }
        Ok(whole(status, body))
    }
}

async fn disturbed(proxy: &Arc<Proxy>, from: usize, fault: Fault, sending: Sending) -> Answered {
    match fault {
        Fault::Kill(When::Before) => {
            signal(proxy, from, Signal::KILL);
            Err(Cut)
        }
        Fault::Kill(When::After) => {
            let answer = sending.now().await;
            signal(proxy, from, Signal::KILL);
            answer.and(Err(Cut))
        }
        Fault::Reset(When::Before) => Err(Cut),
        Fault::Reset(When::After) => sending.now().await.and(Err(Cut)),
        Fault::Status(status, When::Before) => Ok(failure(status)),
        Fault::Status(status, When::After) => sending.now().await.map(|_| failure(status)),
        Fault::Garbage => sending.now().await.map(|_| garbage()),
        Fault::Latency(seconds, When::Before) => {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            sending.now().await
        }
        Fault::Latency(seconds, When::After) => {
            let answer = sending.now().await;
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            answer
        }
        Fault::Stop(When::Before) => {
            stopped(proxy, from).await;
            let answer = sending.now().await;
            signal(proxy, from, Signal::CONT);
            answer
        }
        Fault::Stop(When::After) => {
            let answer = sending.now().await;
            stopped(proxy, from).await;
            signal(proxy, from, Signal::CONT);
            answer
        }
        Fault::Window(window) => {
            let answer = sending.now().await;
            proxy.state().open(window);
            // Without a watch there is nothing to tell.
            let _ = proxy.told.send(window);
            answer
        }
    }
}

/// The process stands still until another one leads and has written something.
async fn stopped(proxy: &Arc<Proxy>, from: usize) {
    signal(proxy, from, Signal::STOP);
    let begun = Instant::now();
    // An error means that the plan is over.
    let _ = proxy.orders.send(Order::Another);
    let acts = |proxy: &Proxy| {
        proxy.state().seen.iter().any(|seen| seen.from != from && seen.at > begun && seen.kind.is_of_a_run())
    };
    while !acts(proxy) && begun.elapsed() < OTHER_LEADS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn signal(proxy: &Proxy, door: usize, signal: Signal) {
    let pid = proxy.processes().get(&door).and_then(|pid| Pid::from_raw(*pid));
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}
