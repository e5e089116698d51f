//! A drop-in for Bitwarden's notifications service.
//!
//! ```text
//! ingest -> notification -> delivery -> backplane -> reactor -> signalr -> websocket -> socket
//! ```
//!
//! - `server` starts a hub from a `config`, serves it and shuts it down.
//! - `ingest` takes pushes in, by `POST /send` or from an Azure Storage queue (`azure_storage` is the client of those).
//! - `notification` is what a push says; `delivery` is whom it is for, and its frames, encoded once for each protocol.
//! - `backplane` carries a delivery to the reactors of every replica: of this process alone, or through Redis of others too.
//! - `reactor` holds the connections, one thread per core. `http` parses request heads and serves everything that is no
//!   WebSocket, `websocket` frames messages, `signalr` is the session as a state machine and the protocols' codecs.
//! - `catch_up` finds out which clients missed a push.
//! - `auth` verifies tokens; `observability` is logs and metrics; `net` is what several modules need of the system.
//! - `doctor` checks what a hub needs, and the way of its clients.
//! - `client` and `sender` are the other sides: what connects, what pushes.
//!
//! A module uses modules below it, never one above: `tests/layers.rs` has the order.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod auth;
pub mod azure_storage;
pub mod backplane;
pub mod catch_up;
pub mod client;
pub mod config;
pub mod delivery;
pub mod doctor;
pub mod http;
pub mod ingest;
pub mod net;
pub mod notification;
pub mod observability;
pub mod reactor;
pub mod secret;
pub mod sender;
pub mod server;
pub mod signalr;
pub mod websocket;
