//! `kubectl restart inject`: adds the sidecar to the YAML of a workload, for people who keep it in Git.
//!
//! **Invariant:** what comes out means exactly what `transform` made of it; comments and layout stay wherever an edit in
//! place gives that meaning, else the document is written anew, and it is said.

mod hooks;
mod services;
mod text;
mod transform;

use super::exit::Exit;
use crate::client::Error;
use std::path::{Path, PathBuf};
pub use transform::Sidecar;

/// Of which file, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The file; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub filename: PathBuf,
    /// Write the file; else the result is printed
    #[arg(short, long)]
    pub in_place: bool,
    /// Remove what was added
    #[arg(long)]
    pub remove: bool,
    /// The sidecar's image
    #[arg(long, default_value = concat!("restart-controller.dev/restart-sidecar:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// The port that the app listens on; given several times, or with commas between them, where there are several. By default
    /// those to which a Service in the same file leads, or else the first of its first container
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,
    /// The controller's public key, `ID=BASE64`; by default the pods take it from a copy of the controller's ConfigMap
    /// restart-controller-keys in their namespace
    #[arg(long)]
    pub key: Option<String>,
    /// Drop the preStop hooks that the containers have, such as a sleep; by default each of them runs after the drain
    #[arg(long)]
    pub replace_prestop: bool,
}

/// The verb.
///
/// # Errors
/// When the file cannot be read, written, or understood, or a workload cannot take the sidecar.
pub fn run(args: &Args) -> Result<Exit, Error> {
    let before = read(&args.filename)?;
    let sidecar = Sidecar {
        image: args.image.clone(),
        ports: args.port.clone(),
        key: args.key.clone(),
        replaces_pre_stop: args.replace_prestop,
    };
    let done = injected(&before, &sidecar, args.remove)
        .map_err(|why| Error::Invalid(format!("{}: {why}", args.filename.display())))?;
    done.notes.iter().for_each(|note| eprintln!("{note}"));
    if !args.in_place || args.filename == Path::new("-") {
        print!("{}", done.text);
    } else if done.text != before {
        let written = std::fs::write(&args.filename, &done.text);
        written.map_err(|error| Error::Invalid(format!("{}: {error}", args.filename.display())))?;
    }
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<String, Error> {
    let read =
        if file == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(file) };
    read.map_err(|error| Error::Invalid(format!("{}: {error}", file.display())))
}

/// A file after the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// Its text.
    pub text: String,
    /// What was done, a sentence each.
    pub notes: Vec<String>,
}

/// Adds the sidecar to every workload of `text`, or removes it, and moves the target ports of the Services beside it.
///
/// # Errors
/// A sentence that names the object.
pub fn injected(text: &str, sidecar: &Sidecar, remove: bool) -> Result<Injected, String> {
    let before = text::documents(text)?;
    let mut after = before.clone();
    let mut notes = if remove { transform::remove(&mut after) } else { transform::add(&mut after, sidecar)? };
    if after == before {
        notes.push("nothing to change".to_owned());
        return Ok(Injected { text: text.to_owned(), notes });
    }
    let edited = text::edited(text, &before, &after);
    let text = edited.map_or_else(
        || {
            notes.push("the layout could not be kept: written anew, without comments".to_owned());
            text::anew(&after)
        },
        Ok,
    )?;
    Ok(Injected { text, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "# the shop\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web} # its name\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      labels: {app: web}\n    spec:\n      containers:\n        # the app\n        - name: app\n          image: app:1 # pinned\n          ports: [{name: http, containerPort: 8080}]\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports:\n    - {name: http, port: 80, targetPort: http} # to the app\n";

    fn sidecar() -> Sidecar {
        Sidecar { image: "sidecar:1".into(), ports: vec![], key: None, replaces_pre_stop: false }
    }

    fn added(text: &str) -> String {
        injected(text, &sidecar(), false).unwrap().text
    }

    #[test]
    fn the_sidecar_comes_in_and_comments_stay() {
        let text = added(APP);
        for comment in ["# the shop", "# its name", "# the app", "# pinned", "# to the app"] {
            assert!(text.contains(comment), "{comment} in {text}");
        }
        assert!(text.contains("name: restart-sidecar") && text.contains("--upstream=127.0.0.1:8080"), "{text}");
        assert!(text.contains("targetPort: 8012"), "{text}");
    }

    #[test]
    fn twice_is_once() {
        let once = added(APP);
        assert_eq!(added(&once), once);
    }

    #[test]
    fn what_was_added_goes_again_to_the_last_byte() {
        let block = include_str!("../../../deploy/samples/plain.yaml").to_owned();
        let named = block.replace("targetPort: 8080}", "targetPort: http} # by its name");
        let none = block.replace(", targetPort: 8080", "").replace("port: 80}", "port: 8080}");
        let lines = block.replace(
            "    - {name: http, port: 80, targetPort: 8080}",
            "    # for everybody\n    - name: http\n      port: 80\n      targetPort: http # to the app",
        );
        let other = block.replace("      containers:\n", "      initContainers:\n        # first\n        - name: first\n          image: first:1 # once\n      containers:\n");
        let annotated = named.replace(
            "kind: Service\nmetadata:\n",
            "kind: Service\nmetadata:\n  annotations:\n    team: shop # whose\n",
        );
        let annotated_last = named.replace(
            "kind: Service\nmetadata:\n  name: plain\n",
            "kind: Service\nmetadata:\n  name: plain\n  annotations: {team: shop} # whose\n",
        );
        let shapes = [
            ("block", block),
            ("named", named),
            ("none", none),
            ("lines", lines),
            ("other", other),
            ("annotated", annotated),
            ("annotated_last", annotated_last),
            ("braces", APP.to_owned()),
        ];
        for (shape, text) in shapes {
            let with = injected(&text, &sidecar(), false).unwrap();
            let without = injected(&with.text, &sidecar(), true).unwrap();
            let notes: Vec<&String> = with.notes.iter().chain(&without.notes).collect();
            assert!(!notes.iter().any(|note| note.contains("anew")), "{shape}: {notes:?}");
            assert_eq!(without.text, text, "{shape}: {}", with.text);
        }
    }

    #[test]
    fn each_port_that_a_service_leads_to_gets_a_route_and_gives_it_back() {
        let several = APP
            .replace("ports: [{name: http, containerPort: 8080}]", "ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9100}, {name: grpc-api, containerPort: 9090}]")
            .replace("    - {name: http, port: 80, targetPort: http} # to the app\n", "    - {name: http, port: 80, targetPort: http} # to the app\n    - {name: api, port: 9090} # by its number\n");
        let with = injected(&several, &sidecar(), false).unwrap().text;
        assert!(with.contains("--route=8012=8080,http") && with.contains("--route=8013=9090,grpc"), "{with}");
        assert!(!with.contains("9100,") && with.contains("containerPort: 8013"), "{with}");
        assert!(with.contains("targetPort: 8012") && with.contains("targetPort: 8013"), "{with}");
        assert_eq!(added(&with), with, "twice is once");
        assert_eq!(injected(&with, &sidecar(), true).unwrap().text, several);
        let named = Sidecar { ports: vec![9090, 9100], ..sidecar() };
        let named = injected(&several, &named, false).unwrap().text;
        assert!(named.contains("--route=8012=9090,grpc") && named.contains("--route=8013=9100,http"), "{named}");
    }

    #[test]
    fn a_pre_stop_hook_of_its_own_runs_after_the_drain_and_comes_back_to_the_last_byte() {
        let braces = APP.replace(
            "image: app:1 # pinned",
            "image: app:1 # pinned\n          lifecycle: {preStop: {exec: {command: [sleep, '5']}}} # old",
        );
        let lines = APP.replace(
            "image: app:1 # pinned",
            "image: app:1 # pinned\n          lifecycle:\n            preStop:\n              exec:\n                command:\n                  - sh # any\n                  - -c\n                  - sleep 5 # old",
        );
        for own in [braces, lines] {
            let with = injected(&own, &sidecar(), false).unwrap();
            assert!(with.text.contains("--install=/restart-controller"), "{}", with.text);
            assert!(
                with.notes.iter().any(|note| note.contains("container app runs after the drain")),
                "{:?}",
                with.notes
            );
            let without = injected(&with.text, &sidecar(), true).unwrap();
            assert_eq!(without.text, own, "{}", with.text);
        }
    }

    #[test]
    fn a_pre_stop_hook_that_cannot_be_chained_is_refused_or_dropped() {
        let own = APP.replace(
            "image: app:1 # pinned",
            "image: app:1\n          lifecycle: {preStop: {httpGet: {port: 8080, host: other}}}",
        );
        let why = injected(&own, &sidecar(), false).unwrap_err();
        assert!(why.contains("Deployment web") && why.contains("--replace-prestop"), "{why}");
        let dropped = injected(&own, &Sidecar { replaces_pre_stop: true, ..sidecar() }, false).unwrap();
        assert!(dropped.text.contains("/wait-drained") && !dropped.text.contains("other"), "{}", dropped.text);
        assert!(dropped.notes.iter().any(|note| note.contains("is dropped")), "{:?}", dropped.notes);
    }

    #[test]
    fn a_workload_without_a_port_asks_for_one() {
        let none = APP.replace("          ports: [{name: http, containerPort: 8080}]\n", "");
        assert!(injected(&none, &sidecar(), false).unwrap_err().contains("--port"));
        let told = Sidecar { ports: vec![9000], ..sidecar() };
        assert!(injected(&none, &told, false).unwrap().text.contains("127.0.0.1:9000"));
    }

    #[test]
    fn what_is_no_workload_is_left_alone() {
        let other = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n";
        assert_eq!(added(other), other);
    }
}
