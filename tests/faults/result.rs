//! What came of all plans: a line for each, the violations as lines that replay them, and the sums.
//!
//! **Invariant:** a plan that could not be judged is a violation too, and named as such.

use crate::judge::oracle::Known;
use crate::plan::Plan;
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// The sums.
pub struct Tally {
    begun: Instant,
    plans: u64,
    sent: u64,
    failed: u64,
    unreached: u64,
    bad: Vec<(String, Vec<String>)>,
    by_path: BTreeMap<String, u64>,
    by_fault: BTreeMap<String, u64>,
    undisturbed: Known,
}

impl Tally {
    /// Nothing yet.
    pub fn begin() -> Self {
        Self {
            begun: Instant::now(),
            plans: 0,
            sent: 0,
            failed: 0,
            unreached: 0,
            bad: vec![],
            by_path: BTreeMap::new(),
            by_fault: BTreeMap::new(),
            undisturbed: Known::new(),
        }
    }

    /// Adds a plan, and says what came of it.
    pub fn add(&mut self, index: usize, plan: &Plan, verdict: Verdict) {
        self.plans += 1;
        self.sent += verdict.sent;
        self.failed += verdict.failed;
        self.unreached += u64::from(!verdict.left.is_empty());
        *self.by_path.entry(plan.path.to_string()).or_default() += 1;
        for injection in &plan.injections {
            *self.by_fault.entry(injection.fault.to_string()).or_default() += 1;
        }
        let word = if verdict.wrong.is_empty() {
            "ok  "
        } else if verdict.void {
            "VOID"
        } else {
            "BAD "
        };
        let unreached = if verdict.left.is_empty() { "" } else { ", its point did not come" };
        let sums = format!(
            "{:>5.1} s, {} sent, {} failed, {} reads{unreached}",
            verdict.took.as_secs_f64(),
            verdict.sent,
            verdict.failed,
            verdict.reads
        );
        println!("{word} {:>6.0} s  {plan}  [{sums}]", self.begun.elapsed().as_secs_f64());
        if verdict.wrong.is_empty() {
            if plan.injections.is_empty() {
                self.undisturbed.extend(verdict.did.map(|did| (plan.path.to_string(), did)));
            }
            return;
        }
        verdict.wrong.iter().for_each(|wrong| println!("       {wrong}"));
        println!("       replay: PLAN='{plan}' make faults");
        if let Err(error) = keep(index, plan, &verdict) {
            eprintln!("faults: what was seen could not be kept: {error}");
        }
        self.bad.push((plan.to_string(), verdict.wrong));
    }

    /// What the undisturbed runs did.
    pub fn undisturbed(&self) -> Known {
        self.undisturbed.clone()
    }

    /// Nothing was violated.
    pub fn is_good(&self) -> bool {
        self.bad.is_empty() && self.failed == 0
    }

    /// The line by which `tests/all` counts the plans as tests.
    fn counted(&self) -> String {
        format!("test result: {} passed; {} failed", self.plans.saturating_sub(self.bad.len() as u64), self.bad.len())
    }

    /// The sums; the last line is the result.
    pub fn summary(&self) -> String {
        let list = |sums: &BTreeMap<String, u64>| {
            sums.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let mut bad =
            self.bad.iter().map(|(plan, wrong)| format!("BAD  {plan}: {}", wrong.join("; "))).collect::<Vec<_>>();
        bad.push(String::new());
        let bad = bad.join("\n");
        format!(
            "\nby path: {}\nby fault: {}\n{} whose point did not come\n{:.0} s, {:.1} s a plan\n{bad}{}\n{} plans, {} violations, {} of {} requests failed",
            list(&self.by_path),
            list(&self.by_fault),
            self.unreached,
            self.begun.elapsed().as_secs_f64(),
            self.begun.elapsed().as_secs_f64() / f64::from(u32::try_from(self.plans.max(1)).unwrap_or(u32::MAX)),
            self.counted(),
            self.plans,
            self.bad.len(),
            self.failed,
            self.sent
        )
    }
}

/// A file with all that there is to see.
fn keep(index: usize, plan: &Plan, verdict: &Verdict) -> std::io::Result<()> {
    let directory = std::env::var_os("FAULTS_OUT").map_or_else(std::env::temp_dir, PathBuf::from);
    std::fs::create_dir_all(&directory)?;
    let text = format!("{plan}\n{}\n{}", verdict.wrong.join("\n"), verdict.diagnosis);
    std::fs::write(directory.join(format!("faults-{index}.txt")), text)
}
