//! Attacks on the memory of the real sidecar, in a control group of 64 MiB as every injected one has: it is not killed,
//! others are served meanwhile, and the memory comes back.
//!
//! Where no control group can be made (no root, or only the second version without delegation), the limit is told to the
//! sidecar by `--memory-limit-mib`, and its resident memory is judged alone.

#![allow(clippy::unwrap_used, reason = "a test ends where it finds what it does not expect, helpers included")]

mod crowd;
mod group;
mod http1;
mod http2;
mod others;
#[allow(dead_code, unused_imports, reason = "shared with the suites, which use more of it")]
#[path = "../suites/support/mod.rs"]
mod support;

use group::Group;
use others::{Others, p99};
use std::time::Duration;
use support::{App, Sidecar, becomes, soon};
use tokio::sync::Mutex;

/// The limit, as the component, the chart and the webhook give it.
const LIMIT_MIB: u64 = 64;
/// Memory comes back within this time,
const BACK: Duration = Duration::from_secs(10);
/// up to so much more than there was before: spare buffers, and half a page here and there.
const KEPT_KIB: u64 = 6 * 1024;
/// What the machine may add to the slowest answers of others: two cores, which the attackers share with everything.
const NOISE: Duration = Duration::from_millis(60);

/// One attack at a time: others' answers are timed.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A sidecar under attack and, for comparison, one that is left in peace.
struct World {
    _app: App,
    sidecar: Sidecar,
    peaceful: Sidecar,
    group: Option<Group>,
}

impl World {
    async fn start(arguments: &[&str]) -> Self {
        let app = App::start().await;
        let group = Group::make(LIMIT_MIB << 20);
        let limit = LIMIT_MIB.to_string();
        let told = [arguments, &["--memory-limit-mib", &limit]].concat();
        let sidecar = match &group {
            Some(group) => Sidecar::with_shell(app.address, arguments, Some(&group.enter())).await,
            None => Sidecar::start(app.address, &told).await,
        };
        let peaceful = Sidecar::start(app.address, arguments).await;
        Self { _app: app, sidecar, peaceful, group }
    }

    fn is_alive(&self) {
        let killed = self.group.as_ref().map_or(0, Group::kills);
        assert_eq!(killed, 0, "the kernel has killed it for its memory");
        let peak = self.sidecar.peak_kib() / 1024;
        assert!(peak < LIMIT_MIB, "it has held {peak} MiB");
    }
}

/// Runs `attack`, which answers what must stay open, and serves others meanwhile.
async fn survives<T>(name: &str, arguments: &[&str], attack: impl AsyncFnOnce(&World) -> T) {
    let _alone = ALONE.lock().await;
    let start = std::time::Instant::now();
    let world = World::start(arguments).await;
    let mut others = Others::of(&world.sidecar, &world.peaceful);
    others.ask(200).await;
    let calm = p99(&mut others.take().1);
    becomes("nothing is left of others", async || world.sidecar.metric("connections").await <= 1).await;
    let before = world.sidecar.resident_kib();
    let (asking, held) = tokio::join!(others.ask_until_told(), async {
        let held = attack(&world).await;
        // It goes on for a while after all have come.
        tokio::time::sleep(Duration::from_secs(1)).await;
        others::tell();
        held
    });
    let (mut attacked, mut peaceful) = asking;
    let (count, slow, usual) = (attacked.len(), p99(&mut attacked), p99(&mut peaceful));
    world.is_alive();
    let (peak, used) = (world.sidecar.peak_kib() / 1024, world.group.as_ref().map_or(0, |group| group.peak() >> 20));
    let refused = world.sidecar.metric("refused_for_memory_total").await;
    drop(held);
    let began = std::time::Instant::now();
    let back = async {
        while world.sidecar.resident_kib() > before + KEPT_KIB || world.sidecar.metric("in_flight").await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let returned = tokio::time::timeout(BACK, back).await;
    let after = world.sidecar.resident_kib();
    println!(
        "{name}: at most {peak} MiB resident, {used} MiB in the group; {refused} given up; {count} answers to others, p99 {slow:?} (in peace {calm:?}, beside it {usual:?}); {before} KiB before, {after} KiB {:?} after; {:?} in all",
        began.elapsed(),
        start.elapsed()
    );
    assert!(
        returned.is_ok(),
        "memory does not come back: {before} KiB, then {after} KiB; {} in flight",
        world.sidecar.metric("in_flight").await
    );
    assert!(count >= 50, "others had only {count} answers");
    // A program for debugging is not judged by its speed.
    if !cfg!(debug_assertions) || std::env::var_os("SUITES_SIDECAR").is_some() {
        assert!(slow <= 2 * usual.max(calm) + NOISE, "others waited {slow:?} instead of {usual:?} ({calm:?} in peace)");
    }
    soon("the end", world.sidecar.is_idle()).await;
}
