//! A plan: which path a restart takes, and what is done to which of its calls. One line, which replays it.
//!
//! **Invariant:** a line that was printed parses to the same plan.

use crate::fault::Fault;
use crate::path::Path;
use crate::proxy::Kind;
use std::fmt;
use std::str::FromStr;

/// The n-th write of a kind, counted from the moment at which the restart is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The kind.
    pub kind: Kind,
    /// Which of them; the first is 1.
    pub nth: u32,
}

/// A fault at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Injection {
    /// The fault.
    pub fault: Fault,
    /// Where.
    pub point: Point,
}

/// A path and its faults; without faults it is the undisturbed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The path.
    pub path: Path,
    /// The faults.
    pub injections: Vec<Injection>,
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}#{}", self.kind.name(), self.nth)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, nth) = text.split_once('#').ok_or_else(|| format!("{text:?} is not KIND#NUMBER"))?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
        let nth = nth.parse().map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Self { kind: kind.ok_or_else(|| format!("{text:?} names no kind of write"))?, nth })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path)?;
        self.injections.iter().try_for_each(|one| write!(formatter, " {}@{}", one.fault, one.point))
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let path = words.next().ok_or("a plan begins with its path")?.parse()?;
        let injection = |word: &str| {
            let (fault, point) = word.split_once('@').ok_or_else(|| format!("{word:?} is not FAULT@KIND#NUMBER"))?;
            Ok::<_, String>(Injection { fault: fault.parse()?, point: point.parse()? })
        };
        Ok(Self { path, injections: words.map(injection).collect::<Result<_, _>>()? })
    }
}
