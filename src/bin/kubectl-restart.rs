//! `kubectl restart`: kubectl finds this program by its name.

use std::process::ExitCode;

fn main() -> ExitCode {
    restart_controller::cli::main()
}
