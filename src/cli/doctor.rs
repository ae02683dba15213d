//! `kubectl restart doctor`: why can this workload not be restarted?
//!
//! **Invariant:** every line says what must hold; one that does not says what to do.

use super::args::{Format, Global};
use super::connect::connect;
use super::exit::Exit;
use super::output::{colours, print_value};
use super::survey::{Found, Line, Where, looking, may, survey};
use crate::api::{TargetKind, TargetRef};
use crate::client::{Error, RestartClient};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use serde_json::json;
use std::io::IsTerminal as _;

/// Of what.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// A workload; none: only the installation is looked at
    #[arg(value_name = "KIND/NAME")]
    pub target: Option<TargetRef>,
    #[command(flatten)]
    pub place: Where,
    /// What to print
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// The verb; its exit code is 1 if something is not as it must be.
///
/// # Errors
/// When the cluster cannot be reached.
pub async fn run(global: &Global, args: &Args) -> Result<Exit, Error> {
    let client = connect(global).await?;
    let mut lines = vec![served(&client).await?, running(&client, &args.place).await];
    lines.push(right(&client, "you may ask for restarts", "create", "restart-controller.dev", "restartrequests").await);
    let (mut hold, mut exceptions) = (None, vec![]);
    if let Some(target) = &args.target {
        lines.push(rights(&client, target).await);
        // Without the definitions nothing else can be asked.
        if lines[0].found != Found::Refused {
            let survey = survey(&client, &looking(target.clone()), &args.place).await?;
            lines.extend(survey.lines);
            exceptions = survey.preview.as_ref().map(super::plan::exceptions).unwrap_or_default();
            hold = survey.preview.and_then(|preview| preview.hold);
        }
    }
    let restartable = lines.iter().all(|line| line.found != Found::Refused);
    match args.output {
        Format::Table | Format::Wide => say(args.target.as_ref(), &lines, hold.as_deref(), &exceptions),
        Format::Name => args.target.iter().for_each(|target| println!("{target}")),
        Format::Json | Format::Yaml => print_value(
            args.output,
            &json!({"targetRef": args.target, "accepted": restartable, "checks": lines, "waitsFor": hold,
                "notReady": exceptions.into_iter().map(|(_, text)| text).collect::<Vec<_>>()}),
        )?,
    }
    Ok(if restartable { Exit::Done } else { Exit::Error })
}

fn say(target: Option<&TargetRef>, lines: &[Line], hold: Option<&str>, exceptions: &[(&str, String)]) {
    let colours = colours(std::io::stdout().is_terminal());
    for line in lines {
        println!("{}", line.text(colours));
    }
    if let Some(hold) = hold {
        println!("  A restart would wait first: {hold}");
    }
    for (what, text) in exceptions {
        println!("  {what}: {text}");
    }
    let wrong = lines.iter().filter(|line| line.found == Found::Refused).count();
    let what = target.map_or_else(|| "A workload".to_owned(), ToString::to_string);
    match (wrong, target) {
        (0, Some(_)) => println!("{what} can be restarted."),
        (0, None) => println!("Workloads can be restarted here; name one to look at it, too."),
        _ => println!("{what} cannot be restarted: {wrong} thing(s) are not as they must be."),
    }
}

async fn served(client: &RestartClient) -> Result<Line, Error> {
    let what = "the definitions are installed";
    let listed = client.requests().list(&ListParams::default().limit(1)).await;
    match listed {
        Ok(_) => Ok(Line::ok(what)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Line::refused(
            what,
            None,
            "the cluster does not know RestartRequests: install restart-controller (its chart, or deploy/install.yaml)"
                .to_owned(),
        )),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Line::unknown(what, status.message.clone())),
        Err(source) => Err(Error::Kube { what: "list RestartRequests".to_owned(), source }),
    }
}

async fn running(client: &RestartClient, place: &Where) -> Line {
    let (what, namespace) = ("the controller runs", place.controller_namespace.as_str());
    let api: Api<Deployment> = Api::namespaced(client.kube().clone(), namespace);
    let label = ListParams::default().labels("app.kubernetes.io/name=restart-controller");
    let ready =
        |all: Vec<Deployment>| -> i32 { all.iter().filter_map(|found| found.status.as_ref()?.ready_replicas).sum() };
    match api.list(&label).await {
        Ok(all) if ready(all.items.clone()) > 0 => Line::ok(what),
        Ok(all) if all.items.is_empty() => Line::unknown(
            what,
            format!("no Deployment of it in namespace {namespace}; is it in another one (--controller-namespace)?"),
        ),
        Ok(_) => Line::refused(
            what,
            None,
            format!("none of its pods in namespace {namespace} is ready; look at: kubectl -n {namespace} get pods"),
        ),
        Err(source) => {
            let error = Error::Kube { what: format!("list Deployments in namespace {namespace}"), source };
            Line::unknown(what, error.to_string())
        }
    }
}

async fn right(client: &RestartClient, what: &str, verb: &str, group: &str, resource: &str) -> Line {
    if may(client, verb, group, resource, None).await {
        return Line::ok(what);
    }
    let namespace = client.namespace();
    Line::refused(
        what,
        Some(crate::api::Code::Forbidden),
        format!("you have no right to {verb} {resource}.{group} in namespace {namespace}"),
    )
}

/// The policy asks for one of both.
async fn rights(client: &RestartClient, target: &TargetRef) -> Line {
    let resource = match target.kind {
        TargetKind::Deployment => "deployments",
        TargetKind::StatefulSet => "statefulsets",
        TargetKind::DaemonSet => "daemonsets",
    };
    let what = "you may restart the workload";
    for verb in ["restart", "patch"] {
        if may(client, verb, "apps", resource, Some(&target.name)).await {
            return Line::ok(what);
        }
    }
    let why = format!(
        "you have neither the verb restart nor patch on {resource}.apps/{} in namespace {}",
        target.name,
        client.namespace()
    );
    Line::refused(what, Some(crate::api::Code::Forbidden), why)
}
