//! `kubectl restart release`: for a controller that is gone for good. What it has left under way is put back as far as that is
//! possible without it, and let go.
//!
//! **Invariant:** nothing is written while a controller leads; every write carries the UID and the resourceVersion that were
//! seen, and what has been released is not released again.

mod ends;
mod outstanding;
mod pods;
mod silence;

use super::args::Global;
use super::connect::connect;
use super::exit::Exit;
use super::output::{Table, print_table};
use crate::api::TargetRef;
use crate::client::{Error, RestartClient};
use outstanding::Outstanding;
use pods::{Detached, Verdict};
use silence::Silence;

/// Of what, and how.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  kubectl restart release -A --dry-run
  kubectl restart release --all -n shop
  kubectl restart release deploy/web -n shop

Exit codes: 0 nothing is left; 1 error; 4 something is left, and the table says what to do about it.")]
pub struct Args {
    /// The workloads whose restarts are released
    #[arg(value_name = "KIND/NAME", required_unless_present_any = ["all", "all_namespaces"])]
    pub which: Vec<TargetRef>,
    /// All workloads of the namespace
    #[arg(long, conflicts_with = "which")]
    pub all: bool,
    /// All workloads of all namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["which", "all"])]
    pub all_namespaces: bool,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Where the controller's Lease is; by default it is looked for in every namespace
    #[arg(long, value_name = "NAMESPACE")]
    pub controller_namespace: Option<String>,
    /// Write even though a controller leads; it goes on with the restarts that are released, and what both write is left as it comes
    #[arg(long)]
    pub despite_a_leading_controller: bool,
}

/// The verb.
///
/// # Errors
/// While a controller leads, when an object changes meanwhile, and when the cluster cannot be reached or refuses.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let silence = if args.despite_a_leading_controller {
        Silence::not_asked_for()
    } else {
        Silence::established(&client, args.controller_namespace.as_deref()).await?
    };
    let spaces = if args.all_namespaces {
        outstanding::everywhere(&client).await?
    } else {
        vec![Outstanding::of(&client, &args.which).await?]
    };
    let mut report = Report::new(args.dry_run);
    for space in spaces.iter().filter(|space| !space.is_nothing()) {
        released(space, &silence, &mut report).await?;
    }
    Ok(report.print())
}

/// The pods first: as long as a finalizer is there, what is left to do can be found by it.
async fn released(space: &Outstanding, silence: &Silence, report: &mut Report) -> Result<(), Error> {
    silence.still().await?;
    let left = put_back(space, silence, report).await?;
    for (pod, why) in space.under_lease() {
        report.line(space.namespace(), &format!("pod/{pod}"), why);
    }
    for request in &space.requests {
        silence.still().await?;
        let promoted = ends::promoted(request);
        for (map, copy) in &promoted {
            let what = format!(
                "holds what the restart promoted; what it held before is in ConfigMap {copy}, which goes with the RestartHistory"
            );
            report.left(space.namespace(), &format!("configmap/{map}"), &what);
        }
        let what = ends::request(&space.client, request, &left, &promoted, report.dry_run).await?;
        report.line(space.namespace(), &format!("restartrequest/{}", super::output::name(request)), &what);
    }
    for history in &space.histories {
        silence.still().await?;
        let what = ends::history(&space.client, history, report.dry_run).await?;
        let name = history.metadata.name.as_deref().unwrap_or_default();
        report.line(space.namespace(), &format!("restarthistory/{name}"), &what);
    }
    Ok(())
}

/// Each detached pod by itself, since each that goes back changes what may become of the next. Returns those that stay.
async fn put_back(space: &Outstanding, silence: &Silence, report: &mut Report) -> Result<Vec<String>, Error> {
    let mut detached = Detached::new(&space.client);
    if !report.dry_run {
        detached.ready_again(&space.detached).await?;
    }
    let mut left = vec![];
    for pod in &space.detached {
        silence.still().await?;
        let object = format!("pod/{pod}");
        match detached.verdict(pod).await? {
            Verdict::Back(back) => {
                let set = back.set();
                if report.dry_run {
                    detached.count(back);
                } else {
                    detached.put_back(back).await?;
                }
                report.line(space.namespace(), &object, &format!("goes back to ReplicaSet {set}"));
            }
            Verdict::Stays(why) => {
                let namespace = space.namespace();
                let what = format!("{why}; it serves on its own until: kubectl delete pod {pod} -n {namespace}");
                report.left(namespace, &object, &what);
                left.push(pod.clone());
            }
            Verdict::Gone => report.line(space.namespace(), &object, "is gone or about to go"),
        }
    }
    Ok(left)
}

/// What was done, or would be.
struct Report {
    dry_run: bool,
    table: Table,
    lines: usize,
    left: bool,
}

impl Report {
    fn new(dry_run: bool) -> Self {
        let heading = if dry_run { "TO DO (dry run)" } else { "DONE" };
        Self { dry_run, table: Table::new(&["NAMESPACE", "OBJECT", heading]), lines: 0, left: false }
    }

    fn line(&mut self, namespace: &str, object: &str, what: &str) {
        self.lines += 1;
        self.table.row(vec![namespace.to_owned(), object.to_owned(), what.to_owned()]);
    }

    fn left(&mut self, namespace: &str, object: &str, what: &str) {
        self.left = true;
        self.line(namespace, object, &format!("LEFT: {what}"));
    }

    fn print(&self) -> Exit {
        if self.lines == 0 {
            println!("Nothing is outstanding.");
            return Exit::Done;
        }
        print_table(&self.table);
        if self.left { Exit::NotRestored } else { Exit::Done }
    }
}

/// A write at the UID and the resourceVersion seen; if the object has changed, the command can be run again.
fn refused(what: &str) -> impl Fn(kube::Error) -> Error {
    let what = what.to_owned();
    move |source| match &source {
        kube::Error::Api(status) if status.code == 409 => {
            Error::Invalid(format!("{what}: the object changed meanwhile; run the command again"))
        }
        _ => Error::kube(what.clone(), source),
    }
}

/// The same caller in another namespace.
fn within(client: &RestartClient, namespace: &str) -> RestartClient {
    RestartClient::new(client.kube().clone(), namespace)
}
