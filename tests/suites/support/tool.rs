//! Other people's programs: where they are, and what they said.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Longest run of one program.
const PATIENCE: Duration = Duration::from_secs(80);

/// A program that `make setup` has built into its cache, from the variable in which `tests/suites/run` gives its path.
pub fn suite_program(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: use make sidecar-suites"));
    PathBuf::from(path)
}

/// Exit code and both outputs of a program that must end by itself.
pub async fn run(command: &mut Command) -> (i32, String) {
    let shown = format!("{:?}", command.as_std());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("did not end within {PATIENCE:?}: {shown}"));
    let output = output.unwrap_or_else(|error| panic!("{error} (is it installed? make setup): {shown}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}
