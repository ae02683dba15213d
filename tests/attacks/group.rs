//! A control group with a limit of memory, for one program; removed at its end.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static MADE: AtomicU64 = AtomicU64::new(0);

pub struct Group {
    path: PathBuf,
    second: bool,
}

impl Group {
    /// With a limit of `bytes`; none where the machine does not let this process make one.
    pub fn make(bytes: u64) -> Option<Self> {
        let name = format!("restart-sidecar-attacks-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        [("/sys/fs/cgroup/memory", false), ("/sys/fs/cgroup", true)].into_iter().find_map(|(root, second)| {
            let group = Self { path: PathBuf::from(root).join(&name), second };
            let limit = if second { "memory.max" } else { "memory.limit_in_bytes" };
            fs::create_dir(&group.path).ok()?;
            // Where the controller is not there, the file is not either; then this is dropped, and with it the folder.
            (group.path.join(limit).exists() && fs::write(group.path.join(limit), bytes.to_string()).is_ok())
                .then_some(group)
        })
    }

    /// What a shell does to be in it, with everything that it becomes.
    pub fn enter(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.path.display())
    }

    fn number(&self, file: &str) -> u64 {
        fs::read_to_string(self.path.join(file)).unwrap().trim().parse().unwrap()
    }

    /// The most memory that was used, in bytes, what the kernel keeps for it included.
    pub fn peak(&self) -> u64 {
        self.number(if self.second { "memory.peak" } else { "memory.max_usage_in_bytes" })
    }

    /// How many programs in it the kernel has killed.
    pub fn kills(&self) -> u64 {
        let file = if self.second { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.path.join(file)).unwrap();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The program has just been killed: it may take a moment to leave.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
