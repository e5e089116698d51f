//! Properties of the hub and the operator that hold for any input. A check is a function of some bytes that a client or a sender
//! could send. It panics if a property does not hold.
//!
//! `fuzz/` runs the checks under libFuzzer. The program of this crate and `tests/corpus.rs` run them with [`target`]. The inputs
//! are the seeds in `fuzz/corpus`, mutations of these, and noise.

mod catch_up;
mod choices;
mod configuration;
mod connection_string;
mod connection_token;
mod conversation;
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
mod server_messages;
mod splits;
mod subscriber;
pub mod target;
mod token;
mod websocket_frames;

/// Panics if its property does not hold for these bytes.
pub type Check = fn(&[u8]);

/// Every check with its name, in alphabetical order. Its fuzz target and its folder in `fuzz/corpus` have the same name.
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
    ("server_messages", server_messages::check),
    ("subscriber", subscriber::check),
    ("token", token::check),
    ("websocket_frames", websocket_frames::check),
];

/// Runs the check with this name. Called by the fuzz targets.
pub fn run(name: &str, input: &[u8]) {
    let found = CHECKS.iter().find(|(known, _)| *known == name);
    let (_, check) = found.unwrap_or_else(|| panic!("there is no check {name}"));
    check(input);
}
