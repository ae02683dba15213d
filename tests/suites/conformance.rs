//! h2spec: what RFC 9113 and RFC 7541 ask of a server, strict cases included.

use crate::support::{App, Sidecar, run, suite_program};
use tokio::process::Command;

/// Cases that fail for a reason: package, title, why.
const KNOWN: [(&str, &str, &str); 1] = [(
    "http2/3.5",
    "Sends invalid connection preface",
    "what is not the preface is HTTP/1.1 on this port, and is answered as such: 400, then the close",
)];
/// So many cases there are in h2spec 2.2.1; fewer would mean that some were not run.
const CASES: usize = 146;

#[tokio::test(flavor = "multi_thread")]
async fn h2spec_passes_but_for_the_cases_named_here() {
    let app = App::start().await;
    let sidecar = Sidecar::start(app.address, &[]).await;
    let report = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(suite_program("SUITES_H2SPEC"));
    command.args(["--strict", "--port", &sidecar.traffic.port().to_string(), "--junit-report"]).arg(report.path());
    let (_, output) = run(&mut command).await;
    let cases = read(&std::fs::read_to_string(report.path()).unwrap());
    let missing: Vec<_> =
        KNOWN.iter().filter(|(package, title, _)| !failed(&cases).any(|c| c.is(package, title))).collect();
    let new: Vec<_> =
        failed(&cases).filter(|case| !KNOWN.iter().any(|(package, title, _)| case.is(package, title))).collect();
    assert!(new.is_empty(), "{new:#?}\n{output}");
    assert!(missing.is_empty(), "these pass now, take them off the list: {missing:?}");
    assert!(cases.len() >= CASES, "only {} cases were run\n{output}", cases.len());
    println!("h2spec: {} of {} passed, {} known", cases.len() - KNOWN.len(), cases.len(), KNOWN.len());
    sidecar.is_idle().await;
    sidecar.is_empty().await;
}

#[derive(Debug)]
struct Case {
    package: String,
    title: String,
    /// Failed, broken off or skipped.
    failed: bool,
}

impl Case {
    fn is(&self, package: &str, title: &str) -> bool {
        self.package == package && self.title == title
    }
}

fn failed(cases: &[Case]) -> impl Iterator<Item = &Case> {
    cases.iter().filter(|case| case.failed)
}

/// The cases of a `JUnit` report as h2spec writes it: one element a line.
fn read(report: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in report.lines().map(str::trim) {
        if let Some(attributes) = line.strip_prefix("<testcase ") {
            let attribute = |name: &str| {
                let value = attributes.split_once(&format!("{name}=\"")).expect("an attribute").1;
                value.split('"').next().unwrap_or_default().replace("&#34;", "\"").replace("&#39;", "'")
            };
            let failed = ["<error", "<failure", "<skipped"].iter().any(|word| line.contains(word));
            cases.push(Case { package: attribute("package"), title: attribute("classname"), failed });
        } else if ["<error", "<failure", "<skipped"].iter().any(|word| line.starts_with(word)) {
            cases.last_mut().expect("a case before its failure").failed = true;
        }
    }
    cases
}
