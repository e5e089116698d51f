//! Plays recorded requests and connections of upstream against a running hub. Expects the same answers, except for intended
//! differences (`decisions.md` 9): `recorded/overrides.rs` lists them for the cases, `recorded/differences.rs` for mutated pushes
//! and conversations. Also plays valid and invalid WebSocket frames (`websocket/cases.rs`).

mod contract;
mod recorded {
    pub(crate) mod differences;
    pub(crate) mod exchange;
    pub(crate) mod http;
    pub(crate) mod hub;
    pub(crate) mod issuer;
    pub(crate) mod mutations;
    pub(crate) mod negotiation;
    pub(crate) mod overrides;
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
use recorded::overrides;
use recorded::player::Player;

/// Groups without pushes. Their cases are played concurrently.
const CONCURRENT_GROUPS: [&str; 10] =
    ["handshake", "json", "messagepack", "websocket", "negotiate", "upgrade", "hub", "auth", "cors", "plain"];

/// Groups with pushes, which clients of other cases would receive too. Their cases are played one after another.
const SEQUENTIAL_GROUPS: [&str; 3] = ["send", "sse", "longpolling"];

/// Number of cases that are played concurrently.
const CONCURRENT_CASES: usize = 16;

/// Plays the cases of some groups, `concurrency` at a time, and prints how many of each were played.
fn play(groups: &[&str], concurrency: usize, settings: &str, speed: u32) {
    let recorded = file("recorded.json");
    let hub = Hub::start(settings).expect("a hub");
    let mut cases = Vec::new();
    for group in groups {
        let all = recorded["cases"][group].as_object().expect("a group");
        let played = all.iter().filter(|(case, _)| speed == 1 || overrides::can_be_accelerated(group, case));
        let played: Vec<_> = played.collect();
        println!("{group}: {} of {}", played.len(), all.len());
        cases.extend(played.into_iter().map(|(case, steps)| (*group, case.as_str(), steps)));
    }
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..concurrency {
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
    play(&CONCURRENT_GROUPS, CONCURRENT_CASES, "", 1);
}

#[test]
fn recorded_pushes_in_sequence_match_the_original() {
    play(&SEQUENTIAL_GROUPS, 1, "", 1);
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
    let settings =
        "signalr = { handshake_timeout = '1500ms', keep_alive_interval = '1500ms', client_timeout_interval = '3s' }";
    play(&["timers"], CONCURRENT_CASES, settings, 10);
}

#[test]
#[ignore = "takes a minute: make test-timers"]
fn recorded_timers_at_real_speed_match_the_original() {
    play(&["timers"], CONCURRENT_CASES, "", 1);
}

#[test]
fn recorded_groups_are_all_played_and_differences_are_known() {
    let recorded = file("recorded.json");
    let cases = &recorded["cases"];
    for group in cases.as_object().expect("groups").keys() {
        let played =
            CONCURRENT_GROUPS.iter().chain(&SEQUENTIAL_GROUPS).any(|known| known == group) || group == "timers";
        assert!(played, "{group} is not played");
    }
    assert_eq!(overrides::unknown_cases(cases), Vec::<String>::new());
}
