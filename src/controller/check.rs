//! `restart-controller check`: whether an installation answers as it must, tried by somebody who may ask for one restart.
//!
//! **Invariant:** nothing is written: what is created is a dry run, and runs under rights that permit no more.

use super::context::{call, clients};
use super::error::Error;
use crate::api::{RestartHistory, RestartRequest};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;
use std::time::{Duration, Instant};

/// Six times the pause between two renewals of a Lease; after a crash of the leader it is taken over in 16 s.
const RENEWED_WITHIN: Duration = Duration::from_secs(20);
/// The API server puts a policy in force some seconds after it was written, as `helm test` may come right after the installation.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// A Deployment that the account of the check has no right to restart.
const OTHER: &str = "restart-controller-check-of-a-refusal";

/// What is tried.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The controller's namespace, in which its Lease is. Absent: that of the service account.
    #[arg(long, env = "POD_NAMESPACE")]
    pub own_namespace: Option<String>,
    /// A namespace that the controller looks after. Absent: its own.
    #[arg(long)]
    pub namespace: Option<String>,
    /// A Deployment that this account may ask to be restarted; it need not exist.
    #[arg(long)]
    pub target: String,
    /// Name of the Lease.
    #[arg(long, default_value = "restart-controller")]
    pub lease: String,
    /// Expect the policies to refuse a workload that this account may not restart.
    #[arg(long)]
    pub policies: bool,
    /// Expect the policies to write down who asks.
    #[arg(long)]
    pub requester: bool,
}

/// Tries one thing after the other and says so on standard output.
///
/// # Errors
/// At the first that is not as it must be, with what to do about it.
pub async fn run(args: &Args) -> Result<(), Error> {
    let (client, _, found) = clients().await?;
    let own = args.own_namespace.as_ref().unwrap_or(&found);
    let namespace = args.namespace.as_ref().unwrap_or(own);
    let requests: Api<RestartRequest> = Api::namespaced(client.clone(), namespace);
    served(&client, &requests, namespace).await?;
    println!("ok: both kinds are served in {namespace}");
    patiently(async || accepted(&requests, args).await).await?;
    println!("ok: a restart may be asked for, and the definition fills in what it must");
    malformed(&requests, args).await?;
    println!("ok: a request without a reason is refused by the definition");
    if args.policies {
        patiently(async || refused(&requests).await).await?;
        println!("ok: a workload that the requester may not restart is refused by the policy");
    }
    println!("ok: {} acts", leader(&client, own, &args.lease).await?);
    Ok(())
}

/// What is not as it must be gets the time that a policy takes.
async fn patiently(attempt: impl AsyncFn() -> Result<(), Error>) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(error) if not_yet(&error) && began.elapsed() < IN_FORCE_WITHIN => tokio::time::sleep(LOOK).await,
            done => return done,
        }
    }
}

/// The API server answers 503 to what a mutating policy looks at until that knows a definition which is new.
fn not_yet(error: &Error) -> bool {
    match error {
        Error::Kube { source: kube::Error::Api(status), .. } => status.code == 503,
        error => matches!(error, Error::Startup(_)),
    }
}

async fn served(client: &Client, requests: &Api<RestartRequest>, namespace: &str) -> Result<(), Error> {
    let one = ListParams::default().limit(1);
    call(format!("list RestartRequests in {namespace}"), requests.list(&one)).await?;
    let histories: Api<RestartHistory> = Api::namespaced(client.clone(), namespace);
    call(format!("list RestartHistories in {namespace}"), histories.list(&one)).await.map(drop)
}

async fn accepted(requests: &Api<RestartRequest>, args: &Args) -> Result<(), Error> {
    let made = create(requests, &args.target, "restart-controller check").await?;
    let observed = made.status.as_ref().and_then(|status| status.observed_generation);
    if observed != Some(-1) {
        return Err(wrong(
            "a new request has no status.observedGeneration of -1: apply the definitions of this version",
        ));
    }
    if args.requester && made.spec.requested_by.as_deref().unwrap_or_default().is_empty() {
        return Err(wrong(
            "a new request does not say who asked: is MutatingAdmissionPolicy requester.restart-controller.dev in force?",
        ));
    }
    Ok(())
}

async fn malformed(requests: &Api<RestartRequest>, args: &Args) -> Result<(), Error> {
    match create(requests, &args.target, "").await {
        Err(Error::Kube { source: kube::Error::Api(status), .. }) if status.code == 422 => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(wrong("a request without a reason was accepted: apply the definitions of this version")),
    }
}

async fn refused(requests: &Api<RestartRequest>) -> Result<(), Error> {
    match create(requests, OTHER, "restart-controller check").await {
        Err(Error::Kube { source: kube::Error::Api(status), .. }) if status.code == 403 => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(wrong(
            "a restart of a workload that this account may not restart was accepted: \
             is ValidatingAdmissionPolicy restartrequests.restart-controller.dev in force, with its binding?",
        )),
    }
}

async fn create(requests: &Api<RestartRequest>, target: &str, reason: &str) -> Result<RestartRequest, Error> {
    let request = json!({
        "metadata": {"generateName": "restart-controller-check-"},
        "spec": {"targetRef": {"kind": "Deployment", "name": target}, "reason": reason},
    });
    let request = serde_json::from_value(request).map_err(|error| Error::Internal(error.to_string()))?;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    call(format!("ask for a restart of Deployment {target}, as a dry run"), requests.create(&dry, &request)).await
}

/// The pod that holds the Lease and has renewed it before our eyes: no clocks are compared.
async fn leader(client: &Client, namespace: &str, name: &str) -> Result<String, Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let (began, mut first) = (Instant::now(), None);
    while began.elapsed() < RENEWED_WITHIN {
        let lease = call(format!("read Lease {namespace}/{name}"), leases.get_opt(name)).await?;
        if let Some((holder, renewed)) = lease.and_then(held)
            && *first.get_or_insert(renewed) != renewed
        {
            return Ok(holder);
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(wrong(&format!(
        "no replica has renewed Lease {namespace}/{name} within {RENEWED_WITHIN:?}: look at the controller's pods and logs"
    )))
}

fn held(lease: Lease) -> Option<(String, Timestamp)> {
    let spec = lease.spec?;
    Some((spec.holder_identity.filter(|holder| !holder.is_empty())?, spec.renew_time?.0))
}

fn wrong(what: &str) -> Error {
    Error::Startup(what.to_owned())
}
