//! What was found, as docs/sidecar-framing.md shows it, and whether that is what is written there.

use std::fmt::Write as _;
use std::path::Path;

/// What one proxy made of the bytes.
#[derive(Debug)]
pub struct Found {
    /// What the client was told, where that is shown.
    pub told: String,
    /// What reached the other side whole: in this the proxies agree or not.
    pub essence: Vec<String>,
    /// What else is shown.
    pub extra: Vec<String>,
    /// Whether all readers understand alike what came through.
    pub is_clear: bool,
}

/// One case.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub sent: &'static str,
    /// By the sidecar, haproxy, nginx and hyper.
    pub found: [Found; 4],
    pub verdict: &'static str,
}

impl Row {
    fn disagree(&self) -> bool {
        let [ours, others @ ..] = &self.found;
        others.iter().any(|other| other.essence != ours.essence)
    }
}

/// Every disagreement has a verdict, and the page is up to date.
pub fn check(requests: &[Row], answers: &[Row]) {
    let page = page(requests, answers);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sidecar-framing.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let all = || requests.iter().chain(answers);
    let open: Vec<_> =
        all().filter(|row| row.disagree() && row.verdict.is_empty()).map(|row| (row.name, &row.found)).collect();
    assert!(open.is_empty(), "disagreements without a verdict: {open:#?}");
    let idle: Vec<_> = all().filter(|row| !row.disagree() && !row.verdict.is_empty()).map(|row| row.name).collect();
    assert!(idle.is_empty(), "verdicts without a disagreement: {idle:?}");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    for (found, written) in page.lines().zip(written.lines()) {
        assert_eq!(found, written, "not what {} says: look, then UPDATE=1 tests/suites/run framing", path.display());
    }
    assert_eq!(page.lines().count(), written.lines().count());
    let disagreements = all().filter(|row| row.disagree()).count();
    println!("framing: {} cases, {disagreements} disagreements, each with a verdict", all().count());
}

fn page(requests: &[Row], answers: &[Row]) -> String {
    let mut page = String::from(INTRODUCTION);
    section(&mut page, "Requests: what the app sees", requests);
    section(&mut page, "Answers: what the client sees", answers);
    page
}

fn section(page: &mut String, title: &str, rows: &[Row]) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\n## {title}\n");
    let _ =
        writeln!(page, "| case | bytes | sidecar | haproxy | nginx | hyper | verdict |\n|---|---|---|---|---|---|---|");
    for row in rows {
        let [ours, haproxy, nginx, hyper] = row.found.each_ref().map(cell);
        let verdict = if row.verdict.is_empty() { "agree" } else { row.verdict };
        let _ = writeln!(
            page,
            "| {} | {} | {ours} | {haproxy} | {nginx} | {hyper} | {verdict} |",
            row.name,
            code(row.sent)
        );
    }
}

fn cell(found: &Found) -> String {
    let mut parts: Vec<_> = found.essence.iter().chain(&found.extra).map(|text| code(text)).collect();
    if !found.told.is_empty() {
        parts.insert(0, format!("{}:", found.told));
    }
    if parts.len() == 1 && parts[0].ends_with(':') {
        parts[0].pop();
    }
    if parts.is_empty() {
        parts.push("nothing".into());
    }
    if !found.is_clear {
        parts.push("†".into());
    }
    parts.join(" ")
}

/// In a cell of a table, long runs made short.
fn code(text: &str) -> String {
    let mut shown = text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'").replace('|', "\\|");
    for letter in ["a", "0"] {
        let run = letter.repeat(40);
        if let Some(start) = shown.find(&run) {
            let length = shown[start..].chars().take_while(|c| letter.starts_with(*c)).count();
            shown.replace_range(start..start + length, &format!("{letter}…{letter}"));
        }
    }
    format!("`{shown}`")
}

const INTRODUCTION: &str = "# Framing: the sidecar beside haproxy, nginx and hyper

The same bytes were sent through each (Debian 12's haproxy 2.6 and nginx 1.22, and a proxy made of hyper's server and
pooled client and nothing else: what the sidecar would be without a data path of its own), and what came out on the other side was kept.
`make sidecar-suites` does it again and fails on any difference from this page (`tests/suites/framing`, where the bytes and the verdicts are).

A cell of the first table shows what the client was told, then the requests that the app saw, each with its body. No request: nothing
reached the app whole. † marks bytes that reached the app (or the client) and that eight readers, differing where real ones do, do not
understand alike: the stuff of which smuggling is made. **The sidecar has none, and the test fails if it ever does.** `/@` stands for the path of the case.

Where the sidecar and hyper disagree, the sidecar is the stricter one, or passes on unchanged what hyper rewrites (the form of the target) or keeps to
itself (interim answers). 100 connections with ordinary requests, drawn by chance, come out the same through both (`exchanges.rs`).
";
