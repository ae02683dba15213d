//! Who goes first.

use super::world::{Row, check, pod, run, unhealthy};
use crate::api::PodState::Chosen;
use crate::api::Step;
use crate::machine::{Content, List, Observed, Pod, Role};

fn begins(pods: Vec<Pod>) -> Observed {
    run(Step::Preparing, &[], pods).rolling()
}

fn planned(name: &str) -> Pod {
    pod(name, Role::Planned)
}

#[test]
fn pods_go_in_the_order_in_which_they_are_seen() {
    let places = || begins(vec![planned("web-2"), planned("web-1"), planned("web-0")]);
    let node = || begins(vec![planned("web-2"), planned("web-1"), planned("web-0").leaving()]);
    let replaced = || {
        let pods = vec![pod("web-2", Role::New), planned("web-1"), planned("web-0")];
        run(Step::Evicting, &[("old-2", Chosen)], pods).rolling()
    };
    let first = "record WaitingRequests/Reserving Reserving";
    let says = |pods: &str| Box::leak(format!("{first} {pods}").into_boxed_str()) as &'static str;
    let rows: Vec<Row> = vec![
        ("a StatefulSet's highest ordinal", places().but(|o| o.ordered = true), says("web-2 Chosen")),
        ("then the next", replaced().but(|o| o.ordered = true), says("web-1 Chosen")),
        ("not before the one above serves", replaced().but(|o| o.ordered = true).waiting(), "wait"),
        ("as many as asked for", places().parallel(2), says("web-2 Chosen web-1 Chosen")),
        ("first those whose nodes are drained", node(), says("web-0 Chosen")),
        ("but not out of a StatefulSet's order", node().but(|o| o.ordered = true), says("web-2 Chosen")),
        (
            "before them what is detached already",
            begins(vec![planned("a").leaving(), planned("b").detached()])
                .but(|o| o.asked.strategy = crate::api::StrategyType::Surge),
            "record Restarting/Surging Surging b Chosen",
        ),
    ];
    check(rows);
}

#[test]
fn once_more_what_serves_nobody_goes_first() {
    let again = |name: &str| pod(name, Role::Again);
    let turn = |step: Step, batch: &[(&str, crate::api::PodState)], pods: Vec<Pod>| {
        run(step, batch, pods)
            .rolling()
            .ending(unhealthy())
            .content(Content::Snapshot)
            .but(|o| {
                o.ordered = true;
                o.plan.again = List::Written;
            })
            .cursor_but(|cursor| {
                cursor.again = true;
                cursor.plan.as_mut().expect("a plan").again = Some("again".into());
            })
    };
    let three = || vec![again("web-2"), again("web-1").exited(), again("web-0").exited()];
    let rows: Vec<Row> = vec![
        (
            "all of it at once, for it may keep the rest from being created (k/k#67250)",
            turn(Step::Restoring, &[], three()),
            "record Recovering/Reserving Reserving web-1 Chosen web-0 Chosen",
        ),
        (
            "it is deleted, an eviction would be refused",
            turn(Step::Reserving, &[("web-1", Chosen), ("web-0", Chosen)], three()),
            "delete web-1, delete web-0",
        ),
        (
            "one that fails while another waits for it goes before",
            turn(Step::Reserving, &[("web-2", Chosen)], three()).waiting(),
            "record Recovering/Reserving Reserving web-1 Chosen web-0 Chosen",
        ),
        (
            "one whose lease nobody knows about is waited for",
            turn(Step::Reserving, &[("web-2", Chosen)], vec![again("web-2"), again("web-1").unready().silent(false)])
                .waiting(),
            "wait",
        ),
    ];
    check(rows);
}
