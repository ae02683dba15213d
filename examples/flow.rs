//! The complete flow of a program that restarts: ask, look every two seconds until it has ended, read the history.
//! `cargo run --features client --example flow -- shop deployment/web`

use restart_controller::client::{Ask, RestartClient};
use std::error::Error;
use std::time::Duration;

/// Restarts a workload with the rights of `client`; true if every pod was replaced.
///
/// # Errors
/// What the API server refuses, in a sentence.
pub async fn flow(client: kube::Client, namespace: &str, workload: &str) -> Result<bool, Box<dyn Error>> {
    let restarts = RestartClient::new(client, namespace);

    let ask = Ask::new(workload.parse()?, "new price table").force(false).config_reload(true).timeout(30);
    let asked = restarts.request_restart(&ask).await?;
    println!("{}: about {} s", asked.request_id(), asked.estimated_time);

    let workload = &ask.spec.target_ref;
    let end = loop {
        let status = restarts.get_restart_status(workload).await?;
        println!("{}: {} requests in flight", status.status, status.active_requests_count);
        // While it is preparing: restarts.cancel_restart(workload).await?;
        if matches!(status.status, "completed" | "failed") {
            break status.status;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    println!("{end}; still restarting: {}", restarts.is_restarting(workload).await?);

    for run in restarts.get_restart_history(workload, 10).await? {
        println!("{} {} {}", run.timestamp, if run.success { "ok" } else { "failed" }, run.reason);
    }
    Ok(end == "completed")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [namespace, workload] = &words[..] else { return Err("which workload? NAMESPACE KIND/NAME".into()) };
    let completed = flow(kube::Client::try_default().await?, namespace, workload).await?;
    if completed { Ok(()) } else { Err("it failed: kubectl get restartrequests says why".into()) }
}
