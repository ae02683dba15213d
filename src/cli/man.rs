//! `kubectl restart man`: manual pages.
//!
//! **Invariant:** made of the same definitions as the help.

use super::exit::Exit;
use crate::client::Error;
use clap::Command;
use std::path::PathBuf;

/// Where to.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Write a page for each command into this directory; else the main page is printed
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

/// The verb.
///
/// # Errors
/// When the directory cannot be written.
pub fn run(args: &Args, command: Command) -> Result<Exit, Error> {
    let done = match &args.dir {
        Some(dir) => std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)),
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout()),
    };
    let whence = args.dir.as_ref().map_or("standard output".to_owned(), |dir| dir.display().to_string());
    done.map(|()| Exit::Done).map_err(|error| Error::Invalid(format!("{whence}: {error}")))
}
