//! The table of decisions, and two candidates in every interleaving that chance finds.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

const SETTINGS: Settings =
    Settings { lease: Duration::from_secs(15), deadline: Duration::from_secs(10), retry: Duration::from_secs(2) };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn record(holder: &str, version: u64) -> Record {
    Record { holder: holder.into(), lasts: SETTINGS.lease, version: version.to_string() }
}

fn standby() -> (Candidate, Instant) {
    (Candidate::new("we".into(), SETTINGS), Instant::now())
}

fn leader() -> (Candidate, Instant) {
    let (mut candidate, start) = standby();
    candidate.saw(None, start);
    candidate.sends(start);
    assert_eq!(candidate.wrote(record("we", 1), start, start), start + seconds(10));
    (candidate, start)
}

#[test]
fn nothing_is_decided_before_the_record_is_seen() {
    let (candidate, start) = standby();
    assert_eq!(candidate.decide(start), Decision::Wait(SETTINGS.retry));
}

#[test]
fn a_lease_that_never_was_or_was_released_is_taken_at_once() {
    for record in [None, Some(record("", 7))] {
        let (mut candidate, start) = standby();
        candidate.saw(record, start);
        assert_eq!(candidate.decide(start), Decision::Acquire);
    }
}

#[test]
fn a_held_lease_is_waited_for_from_the_moment_it_was_first_seen() {
    let (mut candidate, start) = standby();
    candidate.saw(Some(record("other", 1)), start);
    assert_eq!(candidate.decide(start), Decision::Wait(seconds(15)));
    candidate.saw(Some(record("other", 1)), start + seconds(9));
    assert_eq!(candidate.decide(start + seconds(10)), Decision::Wait(seconds(5)));
    assert_eq!(candidate.decide(start + seconds(15)), Decision::Acquire);
}

#[test]
fn every_renewal_seen_starts_the_wait_again() {
    let (mut candidate, start) = standby();
    candidate.saw(Some(record("other", 1)), start);
    candidate.saw(Some(record("other", 2)), start + seconds(14));
    assert_eq!(candidate.decide(start + seconds(15)), Decision::Wait(seconds(14)));
}

#[test]
fn the_record_says_how_long_it_binds_not_our_own_settings() {
    let (mut candidate, start) = standby();
    candidate.saw(Some(Record { lasts: seconds(40), ..record("other", 1) }), start);
    assert_eq!(candidate.decide(start + seconds(15)), Decision::Wait(seconds(25)));
}

#[test]
fn a_held_lease_that_is_deleted_is_waited_for_as_if_it_were_there() {
    let (mut candidate, start) = standby();
    candidate.saw(Some(record("other", 1)), start);
    candidate.saw(None, start + seconds(3));
    assert_eq!(candidate.decide(start + seconds(15)), Decision::Wait(seconds(3)));
    assert_eq!(candidate.decide(start + seconds(18)), Decision::Acquire);
}

#[test]
fn an_attempt_that_failed_is_repeated_after_the_retry_period() {
    let (mut candidate, start) = standby();
    candidate.saw(None, start);
    candidate.sends(start + seconds(1));
    assert_eq!(candidate.decide(start + seconds(2)), Decision::Wait(seconds(1)));
    assert_eq!(candidate.decide(start + seconds(3)), Decision::Acquire);
}

#[test]
fn a_record_released_after_a_failed_attempt_is_taken_at_once() {
    let (mut candidate, start) = standby();
    candidate.saw(None, start);
    candidate.sends(start);
    candidate.saw(Some(record("", 2)), start + seconds(1));
    assert_eq!(candidate.decide(start + seconds(1)), Decision::Acquire);
}

#[test]
fn our_own_name_in_a_record_that_we_do_not_know_we_wrote_is_written_again() {
    let (mut candidate, start) = standby();
    candidate.saw(None, start);
    candidate.sends(start);
    candidate.saw(Some(record("we", 1)), start + seconds(1));
    assert_eq!(candidate.decide(start + seconds(1)), Decision::Acquire);
}

#[test]
fn a_leader_renews_every_retry_period_and_after_a_failure_again() {
    let (mut candidate, start) = leader();
    assert_eq!(candidate.decide(start), Decision::Lead(seconds(2)));
    assert_eq!(candidate.decide(start + seconds(2)), Decision::Renew);
    candidate.sends(start + seconds(2));
    assert_eq!(candidate.decide(start + seconds(3)), Decision::Lead(seconds(1)));
    assert_eq!(candidate.decide(start + seconds(4)), Decision::Renew);
}

#[test]
fn a_leader_stops_when_its_renew_deadline_has_passed_since_it_sent_the_last_renewal() {
    let (mut candidate, start) = leader();
    candidate.sends(start + seconds(9));
    assert_eq!(candidate.decide(start + seconds(9)), Decision::Lead(seconds(1)));
    assert_eq!(candidate.decide(start + seconds(10)), Decision::Stop);
    // The answer took so long that what it grants is over.
    let (mut slow, start) = standby();
    slow.saw(None, start);
    slow.sends(start);
    slow.wrote(record("we", 1), start, start + seconds(11));
    assert_eq!(slow.decide(start + seconds(11)), Decision::Stop);
}

#[test]
fn a_leader_stops_when_somebody_else_or_nobody_holds_the_record_and_writes_a_deleted_one_anew() {
    for holder in ["other", ""] {
        let (mut candidate, start) = leader();
        candidate.saw(Some(record(holder, 2)), start + seconds(1));
        assert_eq!(candidate.decide(start + seconds(1)), Decision::Stop, "{holder:?}");
    }
    let (mut candidate, start) = leader();
    candidate.saw(None, start + seconds(1));
    assert_eq!(candidate.decide(start + seconds(2)), Decision::Renew);
}

#[test]
fn settings_under_which_two_could_lead_are_refused() {
    assert!(Settings::default().checked().is_ok());
    let why = Settings { deadline: seconds(15), ..SETTINGS }.checked().unwrap_err();
    assert!(why.contains("renew deadline (15s) must be shorter than the lease duration (15s)"), "{why}");
    assert!(Settings { retry: seconds(6), ..SETTINGS }.checked().is_err());
    assert!(Settings { retry: Duration::ZERO, ..SETTINGS }.checked().is_err());
}

/// What may happen next in the world of two candidates and one API server.
#[derive(Clone, Debug)]
enum Step {
    /// True time goes on, for both: whoever does nothing meanwhile is stopped.
    Time(u64),
    /// A healthy turn: the candidate reads, asks, and its write arrives and is answered at once.
    Turn(usize),
    /// The candidate reads the record.
    Read(usize),
    /// It asks what to do and sends a write if that is one.
    Ask(usize),
    /// One of the writes under way reaches the server; the answer is on its way, or is lost.
    Arrive { which: usize, answered: bool },
    /// One of the answers on their way reaches its candidate.
    Answer(usize),
    /// The process ends and another begins in its place.
    Replace(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..6_000).prop_map(Step::Time),
        1 => (6_000u64..40_000).prop_map(Step::Time),
        10 => (0usize..2).prop_map(Step::Turn),
        3 => (0usize..2).prop_map(Step::Read),
        4 => (0usize..2).prop_map(Step::Ask),
        4 => (0usize..4, prop::bool::weighted(0.8)).prop_map(|(which, answered)| Step::Arrive { which, answered }),
        4 => (0usize..4).prop_map(Step::Answer),
        1 => (0usize..2).prop_map(Step::Replace),
    ]
}

/// A write under way: from whom, over which version, sent when by its sender's clock.
#[derive(Clone)]
struct Flight {
    from: usize,
    name: String,
    over: Option<String>,
    sent: Instant,
}

struct World {
    start: Instant,
    elapsed: Duration,
    /// How much each one's clock is ahead of true time.
    ahead: [Duration; 2],
    candidates: [Candidate; 2],
    record: Option<Record>,
    version: u64,
    sent: Vec<Flight>,
    answers: Vec<(Flight, Record)>,
    born: usize,
    terms: usize,
}

impl World {
    fn new(ahead: [u64; 2]) -> Self {
        Self {
            start: Instant::now(),
            elapsed: Duration::ZERO,
            ahead: ahead.map(Duration::from_millis),
            candidates: ["0", "1"].map(|name| Candidate::new(name.into(), SETTINGS)),
            record: None,
            version: 0,
            sent: vec![],
            answers: vec![],
            born: 2,
            terms: 0,
        }
    }

    fn now(&self, who: usize) -> Instant {
        self.start + self.elapsed + self.ahead[who]
    }

    fn read(&mut self, who: usize) {
        let (record, now) = (self.record.clone(), self.now(who));
        self.candidates[who].saw(record, now);
    }

    fn ask(&mut self, who: usize) {
        let now = self.now(who);
        match self.candidates[who].decide(now) {
            Decision::Acquire | Decision::Renew => {
                let candidate = &mut self.candidates[who];
                candidate.sends(now);
                let over = candidate.seen.as_ref().and_then(|seen| Some(seen.record.as_ref()?.version.clone()));
                self.sent.push(Flight { from: who, name: candidate.me.clone(), over, sent: now });
            }
            Decision::Wait(_) | Decision::Lead(_) => {}
            Decision::Stop => self.replace(who),
        }
    }

    /// The API server's compare-and-swap.
    fn arrive(&mut self, which: usize, answered: bool) {
        if self.sent.is_empty() {
            return;
        }
        let flight = self.sent.remove(which % self.sent.len());
        if flight.over != self.record.as_ref().map(|record| record.version.clone()) {
            return;
        }
        self.version += 1;
        let written = record(&flight.name, self.version);
        self.record = Some(written.clone());
        if answered {
            self.answers.push((flight, written));
        }
    }

    fn answer(&mut self, which: usize) {
        if self.answers.is_empty() {
            return;
        }
        let (flight, record) = self.answers.remove(which % self.answers.len());
        let now = self.now(flight.from);
        let candidate = &mut self.candidates[flight.from];
        // The process that asked may be gone.
        if candidate.me == flight.name {
            self.terms += usize::from(candidate.renewed.is_none());
            candidate.wrote(record, flight.sent, now);
        }
    }

    fn replace(&mut self, who: usize) {
        self.candidates[who] = Candidate::new(self.born.to_string(), SETTINGS);
        self.born += 1;
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Time(millis) => self.elapsed += Duration::from_millis(millis),
            Step::Turn(who) => {
                self.read(who);
                self.ask(who);
                self.arrive(self.sent.len().saturating_sub(1), true);
                self.answer(self.answers.len().saturating_sub(1));
            }
            Step::Read(who) => self.read(who),
            Step::Ask(who) => self.ask(who),
            Step::Arrive { which, answered } => self.arrive(which, answered),
            Step::Answer(which) => self.answer(which),
            Step::Replace(who) => self.replace(who),
        }
    }

    /// Who would act if both asked now.
    fn leading(&self) -> Vec<usize> {
        let leads = |who: &usize| self.candidates[*who].leads_until().is_some_and(|until| self.now(*who) < until);
        (0..2).filter(leads).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn two_never_lead_at_once_whatever_is_paused_lost_late_or_restarted(
        ahead in [0u64..1_000_000, 0u64..1_000_000],
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(ahead);
        for (index, step) in steps.iter().enumerate() {
            world.step(step);
            prop_assert!(world.leading().len() < 2, "both lead after step {index} of {steps:?}");
        }
    }
}

#[test]
fn the_worlds_of_the_property_have_terms_in_them() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 120);
    let mut terms = 0;
    for _ in 0..200 {
        let mut world = World::new([0, 5]);
        for step in &steps.new_tree(&mut runner).unwrap().current() {
            world.step(step);
        }
        terms += world.terms;
    }
    assert!(terms > 200, "only {terms} terms in 200 worlds: the property says little");
}
