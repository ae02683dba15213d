//! Source ports for connections to the app beyond those that the kernel gives.
//!
//! A connection to one address and port needs a source port of its own, and the kernel gives those of one range only: 28,232
//! by default. Below and above that range there are as many again.
//!
//! **Invariant:** a port that is taken from here is one that the kernel gives to no socket by itself, that the pod has not
//! reserved, and on which another process of the pod may still begin to listen (with `SO_REUSEADDR`, as servers set it).

use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lower ones are likely to be taken by servers.
const FIRST: u16 = 10_000;
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// The spare ports of this network namespace, one after the other, and from the start again. They are read when they are
/// first needed, which in most pods is never.
#[derive(Debug, Default)]
pub struct SparePorts {
    ports: OnceLock<Vec<u16>>,
    next: AtomicUsize,
}

impl SparePorts {
    /// The next ones to try: each at most once, and at most `most` of them.
    pub fn take(&self, most: usize) -> impl Iterator<Item = u16> {
        let ports = self.ports.get_or_init(read);
        let next = || ports.get(self.next.fetch_add(1, Ordering::Relaxed) % ports.len().max(1));
        std::iter::repeat_with(next).take(most.min(ports.len())).flatten().copied()
    }
}

/// None where the kernel does not tell its own range.
fn read() -> Vec<u16> {
    let range = std::fs::read_to_string(RANGE).unwrap_or_default();
    beside(&range, &std::fs::read_to_string(RESERVED).unwrap_or_default())
}

fn beside(range: &str, reserved: &str) -> Vec<u16> {
    let mut ends = range.split_whitespace().map_while(|end| end.parse().ok());
    let (Some(low), Some(high)) = (ends.next(), ends.next()) else { return vec![] };
    let reserved: Vec<_> = reserved.trim().split(',').filter_map(parse).collect();
    let is_spare = |port: &u16| {
        !(low..=high).contains(port) && !reserved.iter().any(|range: &RangeInclusive<u16>| range.contains(port))
    };
    (FIRST..=u16::MAX).filter(is_spare).collect()
}

/// A port, or a range such as `8080-8090`.
fn parse(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some(low.parse().ok()?..=high.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_are_those_beside_the_kernels_own_and_the_reserved_ones() {
        let ports = beside("10004\t65530\n", "10001,10003-10007,65533-65534\n");
        assert_eq!(ports, [10_000, 10_002, 65_531, 65_532, 65_535]);
        let spare = SparePorts { ports: ports.into(), ..SparePorts::default() };
        assert_eq!(spare.take(3).collect::<Vec<_>>(), [10_000, 10_002, 65_531]);
        assert_eq!(spare.take(100).collect::<Vec<_>>(), [65_532, 65_535, 10_000, 10_002, 65_531]);
    }

    #[test]
    fn where_the_kernel_tells_no_range_there_is_none() {
        for range in ["", "1024 65535"] {
            let spare = SparePorts { ports: beside(range, "").into(), ..SparePorts::default() };
            assert_eq!(spare.take(9).count(), 0);
        }
    }
}
