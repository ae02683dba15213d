//! Copies this program into a directory that other containers of the pod mount: an app's own preStop hook begins with it
//! (`restart-sidecar wait-drained`), whatever else the app's image contains.
//!
//! **Invariant:** a container that looks for the program sees a whole one or none.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const PROGRAM: &str = "restart-sidecar";

/// Copies the program that runs now.
///
/// # Errors
/// A sentence that names the directory: it does not exist, or this user may not write to it.
pub fn install(directory: &Path) -> Result<(), String> {
    copy(directory).map_err(|error| {
        format!("--install {}: {error}; mount an emptyDir there, which this user may write to", directory.display())
    })
}

fn copy(directory: &Path) -> io::Result<()> {
    let partial = directory.join(format!(".{PROGRAM}"));
    fs::copy("/proc/self/exe", &partial)?;
    fs::set_permissions(&partial, Permissions::from_mode(0o755))?;
    fs::rename(partial, directory.join(PROGRAM))
}
