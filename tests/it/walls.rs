//! The walls of DESIGN 7 that the compiler does not hold: who imports whom inside the controller, and what the machine
//! never mentions. (That `machine` builds without a client, `make lint` shows: it checks each set of features alone.)
//!
//! **Invariant:** reads the sources only.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let start = root.join(folder);
    let mut found = vec![];
    let mut waiting = vec![start.clone(), start.with_extension("rs")];
    while let Some(path) = waiting.pop() {
        if path.ends_with("tests") {
            continue; // unit tests may do what the code may not
        }
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

fn never(folder: &str, words: &[&str]) {
    for (path, text) in sources(folder) {
        // Unit tests may do what the code may not.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let found = words.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{}:{}: {:?} does not belong in {folder}", path.display(), number + 1, found);
        }
    }
}

#[test]
fn observe_act_and_record_never_import_one_another() {
    never("controller/observe", &["controller::act", "controller::record", "super::act", "super::record"]);
    never("controller/act", &["controller::observe", "controller::record", "super::observe", "super::record"]);
    never("controller/record", &["controller::observe", "controller::act", "super::observe", "super::act"]);
}

#[test]
fn only_act_and_record_write() {
    let writes = [
        ".create(",
        ".replace(",
        ".replace_status(",
        ".patch(",
        ".patch_status(",
        ".delete(",
        ".delete_collection(",
        ".evict(",
    ];
    never("controller/observe", &writes);
    never("controller/reconcile", &writes);
    // Of the hooks one file asks with `dryRun`.
    never("controller/hooks", &writes[1..]);
}

#[test]
fn the_http_api_knows_nothing_of_the_controller_and_no_client_but_its_callers() {
    never("http_api", &["crate::controller", "try_default", " Client::new"]);
}

#[test]
fn the_machine_knows_no_clock_no_client_and_no_chance() {
    never(
        "machine",
        &["Instant", "SystemTime", "Timestamp::now", "kube::", "tokio", "async ", "random", "std::env", "std::fs"],
    );
}

#[test]
fn no_match_of_the_machine_has_a_catch_all_arm() {
    never("machine", &["_ =>"]);
}

#[test]
fn the_sidecar_knows_no_cluster() {
    never("sidecar", &["kube::", "k8s_openapi"]);
}
