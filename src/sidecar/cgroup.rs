//! The limit of memory that this process stands under: the smallest of its control group and of those above it.
//!
//! The group is found as the kernel names it: `/proc/self/cgroup` tells which it is, `/proc/self/mountinfo` where it can be
//! seen. A container sees its own group, mostly, at the mount itself; a process on a host sees the whole path.
//!
//! **Invariant:** read once, at the start; where nothing can be read there is no limit, and that is no error.

use std::path::{Path, PathBuf};

/// What the first version of control groups says for "unlimited": the largest count of whole pages. Anything near it is none.
const NO_LIMIT: u64 = 1 << 60;

/// The limit in bytes, or none.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    limit_by(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"), |path| std::fs::read_to_string(path).ok())
}

fn limit_by(groups: &str, mounts: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let hierarchies = mounts.lines().filter_map(|line| Hierarchy::parse(line, groups));
    hierarchies.flat_map(Hierarchy::files).filter_map(|file| parse_limit(&read(&file)?)).min()
}

fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

/// A mounted hierarchy of control groups that may limit memory.
struct Hierarchy {
    mount: PathBuf,
    /// This process' group, below the mount.
    group: PathBuf,
    file: &'static str,
}

impl Hierarchy {
    /// A line of `/proc/self/mountinfo` (proc(5)), if it is one.
    fn parse(line: &str, groups: &str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let (path, file) = match kind {
            "cgroup2" => (group_of(groups, "")?, "memory.max"),
            "cgroup" if options.split(',').any(|option| option == "memory") => {
                (group_of(groups, "memory")?, "memory.limit_in_bytes")
            }
            _ => return None,
        };
        // A group outside what is mounted is not ours to see: the mount itself is the nearest that is.
        let group = Path::new(path).strip_prefix(root).unwrap_or(Path::new("")).to_owned();
        Some(Self { mount: mount.into(), group, file })
    }

    /// The files of the limits, from the group upwards to the mount.
    fn files(self) -> impl Iterator<Item = PathBuf> {
        let Self { mount, group, file } = self;
        let groups: Vec<PathBuf> = group.ancestors().map(Path::to_owned).collect();
        groups.into_iter().map(move |group| mount.join(group).join(file))
    }
}

/// The path of the group that `controller` has put this process into; "" is the second version.
fn group_of<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn limit(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        let files: HashMap<_, _> = files.iter().copied().collect();
        limit_by(groups, mounts, |path| files.get(path.to_str().unwrap()).map(|text| (*text).to_owned()))
    }

    const V1: &str = "31 24 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn a_container_finds_its_limit_at_the_mount() {
        assert_eq!(limit("0::/\n", V2, &[("/sys/fs/cgroup/memory.max", "67108864\n")]), Some(64 << 20));
        let v1 = [("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n")];
        assert_eq!(limit("4:memory:/\n", V1, &v1), Some(64 << 20));
        // Without a namespace of its own, the path is the host's and the mount shows the group itself.
        let bound = V1.replace("0:27 / ", "0:27 /kubepods/pod1/c1 ");
        assert_eq!(limit("4:memory:/kubepods/pod1/c1\n", &bound, &v1), Some(64 << 20));
        assert_eq!(limit("4:memory:/elsewhere\n", &bound, &v1), Some(64 << 20));
    }

    #[test]
    fn the_smallest_limit_of_a_group_and_those_above_it_holds() {
        let files = [("/sys/fs/cgroup/a/b/memory.max", "max\n"), ("/sys/fs/cgroup/a/memory.max", "1000\n")];
        assert_eq!(limit("0::/a/b\n", V2, &files), Some(1_000));
        let v1 = [("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "5000\n")];
        assert_eq!(limit("4:cpu,memory:/x\n0::/\n", V1, &v1), Some(5_000));
    }

    #[test]
    fn where_nothing_is_limited_or_readable_there_is_no_limit() {
        let unlimited = [("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(limit("4:memory:/\n", V1, &unlimited), None);
        assert_eq!(limit("0::/\n", V2, &[("/sys/fs/cgroup/memory.max", "max\n")]), None);
        assert_eq!(limit("", "", &[]), None);
        assert_eq!(limit("nonsense\n", "more - nonsense\n", &[]), None);
    }
}
