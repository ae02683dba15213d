//! h2load: every request of a busy client is answered, over both protocols, and nothing stays behind.

use crate::support::{App, Sidecar, becomes, run};
use tokio::process::Command;

const REQUESTS: u64 = 20_000;
/// What the sidecar may hold more after the second run than after the first, in KiB: buffers kept for reuse are there by then.
const GROWTH_KIB: u64 = 2_048;

#[tokio::test(flavor = "multi_thread")]
async fn h2load_gets_every_answer_and_memory_comes_back() {
    let app = App::start().await;
    let sidecar = Sidecar::start(app.address, &[]).await;
    let mut settled = None;
    for (round, arguments) in
        [["--h1", "-c32", "-m1"], ["-c16", "-m32", "-w16"], ["--h1", "-c32", "-m8"], ["-c16", "-m32", "-w16"]]
            .iter()
            .enumerate()
    {
        let before = app.served();
        let mut command = Command::new("h2load");
        command.args(arguments).args(["-n", &REQUESTS.to_string(), &sidecar.url("/bytes/1000")]);
        let (code, output) = run(&mut command).await;
        assert_eq!(code, 0, "{output}");
        let line = output.lines().find(|line| line.starts_with("requests:")).expect("h2load's summary");
        let expected = format!("{REQUESTS} done, {REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout");
        assert!(line.ends_with(&expected), "{arguments:?}: {line}");
        assert_eq!(app.served() - before, REQUESTS, "{arguments:?}: the app saw another number");
        sidecar.is_idle().await;
        sidecar.is_empty().await;
        if round == 1 {
            settled = Some(sidecar.resident_kib());
        }
    }
    let settled = settled.expect("two rounds");
    becomes("memory is back", async || sidecar.resident_kib() <= settled + GROWTH_KIB).await;
    let (requests, now, peak) = (4 * REQUESTS, sidecar.resident_kib(), sidecar.peak_kib());
    println!("h2load: {requests} requests, {settled} KiB, then {now} KiB, at most {peak} KiB");
}
