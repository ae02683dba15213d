//! The processes of a pod, as this machine sees them; on a node that is another machine there is nothing to find.
//!
//! **Invariant:** a process that a scenario stops goes on at the scenario's end, whatever becomes of it.

use super::Result;
use super::ensure;
use std::process::Command;

/// The ids of the pod's processes that have this name. The kubelet names a pod's cgroups by its UID.
pub fn of(uid: &str, program: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let read = |folder: &std::path::Path, file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let ours = |folder: &std::path::Path| read(folder, "comm").trim() == program && names(&read(folder, "cgroup"), uid);
    let found = entries.filter(|entry| ours(&entry.path()));
    found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn names(cgroup: &str, uid: &str) -> bool {
    !uid.is_empty() && (cgroup.contains(uid) || cgroup.contains(&uid.replace('-', "_")))
}

/// Processes that stand still.
pub struct Stopped(Vec<String>);

impl Stopped {
    /// Stops the processes of the pod that have this name.
    pub fn stop(uid: &str, program: &str) -> Result<Self> {
        let stopped = Self(of(uid, program));
        ensure!(!stopped.0.is_empty(), "pod {uid} has no process {program}");
        ensure!(stopped.signal("-STOP")?, "{program} of pod {uid} cannot be stopped");
        Ok(stopped)
    }

    fn signal(&self, signal: &str) -> Result<bool> {
        Ok(Command::new("kill").arg(signal).args(&self.0).status()?.success())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.signal("-CONT");
    }
}
