//! Asks a running hub what the running original was asked, and expects the same answers but for the differences that are
//! meant (`decisions.md` 9, `recorded/ours.rs`); sends it mutated pushes and conversations, and expects the original's answers
//! but for `recorded/differences.rs`; and sends it what a WebSocket may and may not be sent (`websocket/cases.rs`).

mod contract;
mod recorded {
    pub(crate) mod differences;
    pub(crate) mod exchange;
    pub(crate) mod http;
    pub(crate) mod hub;
    pub(crate) mod issuer;
    pub(crate) mod mutations;
    pub(crate) mod negotiation;
    pub(crate) mod ours;
    pub(crate) mod player;
    pub(crate) mod socket;
    pub(crate) mod text;
}
mod websocket;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::file;
use recorded::differences;
use recorded::hub::Hub;
use recorded::mutations;
use recorded::ours;
use recorded::player::Player;

/// Groups in which nothing is pushed: their cases are played side by side.
const SIDE_BY_SIDE: [&str; 10] =
    ["handshake", "json", "messagepack", "websocket", "negotiate", "upgrade", "hub", "auth", "cors", "plain"];

/// Groups in which something is pushed.
const ONE_AT_A_TIME: [&str; 3] = ["send", "sse", "longpolling"];

/// How many cases are played at once.
const AT_ONCE: usize = 16;

/// Plays the cases of some groups and tells how many of each were played.
fn play(groups: &[&str], at_once: usize, settings: &str, speed: u32) {
    let recorded = file("recorded.json");
    let hub = Hub::start(settings).expect("a hub");
    let mut cases = Vec::new();
    for group in groups {
        let all = recorded["cases"][group].as_object().expect("a group");
        let played = all.iter().filter(|(case, _)| speed == 1 || ours::hurried(group, case).is_none());
        let played: Vec<_> = played.collect();
        println!("{group}: {} of {}", played.len(), all.len());
        cases.extend(played.into_iter().map(|(case, steps)| (*group, case.as_str(), steps)));
    }
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((group, case, steps)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let player = Player { hub: &hub, tokens: &recorded["meta"]["tokens"], group, case, speed };
                    if let Err(error) = player.play(steps) {
                        failures.lock().expect("no panic").push(format!("{group}, {case}: {error:#}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn recorded_cases_in_parallel_match_the_original() {
    play(&SIDE_BY_SIDE, AT_ONCE, "", 1);
}

#[test]
fn recorded_pushes_in_sequence_match_the_original() {
    play(&ONE_AT_A_TIME, 1, "", 1);
}

/// Plays mutated input against a hub of its own.
fn play_mutated(play: impl FnOnce(&Player<'_>)) {
    let recorded = file("recorded.json");
    let hub = Hub::start("").expect("a hub");
    play(&Player { hub: &hub, tokens: &recorded["meta"]["tokens"], group: "", case: "", speed: 1 });
}

#[test]
fn mutated_pushes_match_the_recorded_answers() {
    play_mutated(|player| {
        let comparison = mutations::play_pushes(player, &mutations::read("pushes.jsonl")).expect("listeners");
        comparison.assert_explained(&differences::PUSHES.map(|(reason, _)| reason));
    });
}

#[test]
fn mutated_conversations_match_the_recorded_answers() {
    play_mutated(|player| {
        let comparison = mutations::play_conversations(player, &mutations::read("conversations.jsonl"));
        comparison.assert_explained(&differences::CONVERSATIONS.map(|(reason, _)| reason));
    });
}

#[test]
fn recorded_timers_at_tenfold_speed_match_the_original() {
    let settings = "signalr = { handshake_timeout = '1500ms', keep_alive = '1500ms', client_timeout = '3s' }";
    play(&["timers"], AT_ONCE, settings, 10);
}

#[test]
#[ignore = "takes a minute: make test-timers"]
fn recorded_timers_at_real_speed_match_the_original() {
    play(&["timers"], AT_ONCE, "", 1);
}

#[test]
fn recorded_groups_are_all_played_and_differences_are_known() {
    let recorded = file("recorded.json");
    let cases = &recorded["cases"];
    for group in cases.as_object().expect("groups").keys() {
        let played = SIDE_BY_SIDE.iter().chain(&ONE_AT_A_TIME).any(|known| known == group) || group == "timers";
        assert!(played, "{group} is not played");
    }
    assert_eq!(ours::unknown(cases), Vec::<String>::new());
}
