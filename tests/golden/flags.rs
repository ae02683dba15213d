//! The table of flags in `docs/sidecar.md`, from the arguments that the program takes.

use super::{hold, root};
use clap::{Arg, CommandFactory as _};
use restart_controller::sidecar::cli::Cli;
use std::fs;

const FILE: &str = "docs/sidecar.md";
const BEGIN: &str = "<!-- flags: `make golden` writes this table -->\n";
const END: &str = "<!-- end of flags -->";

#[test]
fn the_flags_of_the_sidecar_are_those_that_the_program_takes() {
    let page = fs::read_to_string(root().join(FILE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    hold(FILE, &format!("{before}{BEGIN}{}{END}{after}", table()));
}

fn table() -> String {
    let program = Cli::command();
    let mut table = "| flag | default | meaning |\n|---|---|---|\n".to_owned();
    for argument in program.find_subcommand("run").unwrap().get_arguments() {
        table += &row(argument);
    }
    table
}

fn row(argument: &Arg) -> String {
    let values: Vec<String> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let names = argument.get_value_names().unwrap_or_default().join(" ");
    let value = if !argument.get_action().takes_values() {
        // Such a flag has names and values too, which are not given.
        String::new()
    } else if values.is_empty() {
        names
    } else {
        values.join("\\|")
    };
    let default = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<String>();
    let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
    let variable =
        argument.get_env().map(|variable| format!("; or the environment's `{}`", variable.to_string_lossy()));
    let meaning = argument.get_help().unwrap().to_string() + &variable.unwrap_or_default();
    let flag = format!("--{} {value}", argument.get_long().unwrap());
    format!("| `{}` | {default} | {meaning} |\n", flag.trim_end())
}
