//! `docs/cli.md`, from the definitions of the command line: the help of every command.

use super::hold;
use clap::{Command, CommandFactory as _};
use restart_controller::cli::Cli;

#[test]
fn the_page_of_kubectl_restart_is_its_help() {
    let mut page =
        "# kubectl restart\n\nGenerated from the program's own help by `make golden`; do not edit.\n".to_owned();
    let mut command = Cli::command();
    command.build();
    add(&mut page, &mut command, "kubectl restart");
    hold("docs/cli.md", &page);
}

fn add(page: &mut String, command: &mut Command, name: &str) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.extend(["\n## ", name, "\n\n```text\n", lines.join("\n").trim_end(), "\n```\n"]);
    for verb in command.get_subcommands_mut().filter(|verb| !verb.is_hide_set()) {
        let name = format!("{name} {}", verb.get_name());
        add(page, verb, &name);
    }
}
