//! What holds for any input of the hub. A check is a plain function of some bytes, as a stranger or a sender might send them;
//! it panics where what it says does not hold.
//!
//! `fuzz/` runs the checks under libFuzzer. The program of this crate and `tests/corpus.rs` run them, by [`target`], over the
//! seeds in `fuzz/corpus`, mutations of those and noise.

mod catch_up;
mod choices;
mod configuration;
mod connection_string;
mod connection_token;
mod conversation;
mod cuts;
pub mod finding;
mod forwarded_for;
mod handshake;
mod head;
pub mod inputs;
mod json_messages;
mod jwks;
mod messagepack_messages;
mod mutation;
mod negotiate;
mod push;
mod query;
mod queue_text;
pub mod random;
mod redis_address;
mod redis_messages;
mod resource;
mod subscriber;
pub mod target;
mod token;
mod websocket_frames;
mod written;

/// Panics unless what it stands for holds for these bytes.
pub type Check = fn(&[u8]);

/// Every check with its name, which is also that of its fuzz target and of its folder in `fuzz/corpus`.
pub const CHECKS: [(&str, Check); 22] = [
    ("catch_up", catch_up::check),
    ("configuration", configuration::check),
    ("connection_string", connection_string::check),
    ("connection_token", connection_token::check),
    ("conversation", conversation::check),
    ("forwarded_for", forwarded_for::check),
    ("handshake", handshake::check),
    ("head", head::check),
    ("json_messages", json_messages::check),
    ("jwks", jwks::check),
    ("messagepack_messages", messagepack_messages::check),
    ("negotiate", negotiate::check),
    ("push", push::check),
    ("query", query::check),
    ("queue_text", queue_text::check),
    ("redis_address", redis_address::check),
    ("redis_messages", redis_messages::check),
    ("resource", resource::check),
    ("subscriber", subscriber::check),
    ("token", token::check),
    ("websocket_frames", websocket_frames::check),
    ("written", written::check),
];

/// Runs the check with this name: what a fuzz target does.
pub fn run(name: &str, input: &[u8]) {
    let found = CHECKS.iter().find(|(known, _)| *known == name);
    let (_, check) = found.unwrap_or_else(|| panic!("there is no check {name}"));
    check(input);
}
