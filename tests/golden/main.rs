//! Generated files, held to their sources: the CRDs to the types, the chart's copies to the CRDs, `deploy/install.yaml`
//! and the kustomize bases to the chart, its README to its values, the samples of other kinds to the sample,
//! the chart's rules to the list of rights, `docs/metrics.md` to the table of metrics, the flags in `docs/sidecar.md` to the sidecar's
//! arguments, `docs/openapi.json` to the bodies of the HTTP API, `docs/reference.md` to the definitions, the drawings to what they draw; the book's contents, links and codes to what there is.
//!
//! A test fails on any difference; `make golden` (UPDATE=1) writes the files anew.
//!
//! **Invariant:** a generated file is never edited, and nothing here needs a cluster or the network, and only metrics, `OpenAPI` and flags a feature.

#![allow(clippy::unwrap_used)] // a test that meets nothing fails

mod book;
mod chart;
#[cfg(feature = "cli")]
mod cli;
mod crds;
mod drawings;
#[cfg(feature = "sidecar")]
mod flags;
mod kustomize;
#[cfg(feature = "controller")]
mod metrics;
#[cfg(feature = "http-api")]
mod openapi;
mod reference;
mod rights;
mod samples;
mod values;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the files are being written anew: who reads them together waits for the next run.
fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Fails when the file does not hold exactly `expected`; writes it when UPDATE is set.
fn hold(file: &str, expected: &str) {
    let path: PathBuf = root().join(file);
    if updating() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, expected).unwrap();
    }
    let present = fs::read_to_string(&path).unwrap_or_default();
    if present == expected {
        return;
    }
    let line = present.lines().zip(expected.lines()).take_while(|(is, should)| is == should).count();
    panic!(
        "{file} is not what its source gives, from line {} on.\n  is:     {}\n  should: {}\nRun `make golden` and look at the difference.",
        line + 1,
        present.lines().nth(line).unwrap_or("(the end)"),
        expected.lines().nth(line).unwrap_or("(the end)"),
    );
}
