//! What is done to a call, or to all calls from then on for a while.
//!
//! **Invariant:** each fault has one name, which parses back to it.

pub use crate::window::{ReadFault, Window};
use std::fmt;
use std::time::Duration;

/// Whether a fault comes before or after the API server has committed the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// The API server never sees the call, or sees it late.
    Before,
    /// The API server has done what the call asks for.
    After,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9 of the process that makes the call.
    Kill(When),
    /// The connection is reset.
    Reset(When),
    /// The answer is this status.
    Status(u16, When),
    /// The answer is 200 and bytes that are no JSON; the call was committed.
    Garbage,
    /// The call, or its answer, is this many seconds on its way.
    Latency(u64, When),
    /// SIGSTOP of the process, another one leads and acts, then the call arrives and the process wakes.
    Stop(When),
    /// The call is committed and answered; from then on everything is disturbed for a while.
    Window(Window),
}

impl Fault {
    /// All of them, those that matter most first.
    pub fn all() -> Vec<Self> {
        use When::{After, Before};
        let mut all = vec![Self::Kill(After), Self::Kill(Before), Self::Reset(After)];
        all.extend([500, 503, 504].map(|status| Self::Status(status, After)));
        all.extend([409, 422, 429, 500, 503].map(|status| Self::Status(status, Before)));
        all.extend([Self::Reset(Before), Self::Garbage, Self::Stop(Before), Self::Stop(After)]);
        all.extend([5, 20].map(|seconds| Self::Latency(seconds, Before)));
        all.push(Self::Latency(5, After));
        all.extend(Window::ALL.map(Self::Window));
        all
    }

    /// What can be done to a command to a sidecar.
    pub fn of_sidecars() -> Vec<Self> {
        use When::{After, Before};
        let mut all = vec![Self::Kill(After), Self::Kill(Before), Self::Reset(After), Self::Reset(Before)];
        all.extend([Self::Status(500, After), Self::Status(409, Before), Self::Garbage]);
        all.extend([Self::Latency(5, After), Self::Latency(5, Before), Self::Stop(After)]);
        all
    }

    /// How much longer a run may take because of it.
    pub fn costs(self) -> Duration {
        Duration::from_secs(match self {
            Self::Kill(_) => 10,
            Self::Stop(_) => 40,
            Self::Reset(_) | Self::Status(..) | Self::Garbage => 5,
            Self::Latency(seconds, _) => seconds + 20,
            Self::Window(window) => window.lasts().as_secs() + 30,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |when: &When| match when {
            When::Before => "before",
            When::After => "after",
        };
        match self {
            Self::Kill(when) => write!(formatter, "kill-{}", word(when)),
            Self::Reset(when) => write!(formatter, "reset-{}", word(when)),
            Self::Status(status, when) => write!(formatter, "{status}-{}", word(when)),
            Self::Garbage => formatter.write_str("garbage"),
            Self::Latency(seconds, when) => write!(formatter, "latency-{seconds}-{}", word(when)),
            Self::Stop(when) => write!(formatter, "stop-{}", word(when)),
            Self::Window(window) => formatter.write_str(&window.name()),
        }
    }
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::all().into_iter().chain(Self::of_sidecars());
        let named = known.into_iter().find(|fault| fault.to_string() == text);
        named.ok_or_else(|| format!("there is no fault {text:?}"))
    }
}
