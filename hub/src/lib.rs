//! A drop-in for Bitwarden's notifications service.
//!
//! ```text
//! source -> notification -> route -> backplane -> reactor -> connection -> protocol -> socket
//! ```
//!
//! - `source` takes pushes in, by `POST /send` or from an Azure Storage queue (`azure` is how one speaks to those).
//! - `notification` is what a push is; `route` finds for whom it is and encodes it, once for each protocol (`delivery`).
//! - `backplane` carries a delivery to the reactors of every replica: of this process alone, or through Redis of others too.
//! - `reactor` holds the connections, one thread per core: `transport` parses requests and frames messages, `catch_up` finds
//!   missed pushes, `connection` is the SignalR session as a state machine, `protocol` the SignalR codecs.
//! - `auth` verifies tokens, `admin` serves probes and metrics, `shutdown` ends the hub in order; `timely` is a runtime with a
//!   thread of its own, for work with deadlines.
//! - `reload` watches files that may change: keys, certificates (`trust`), the log's level (`telemetry`).
//! - `error_chain` displays an error with its causes.
//! - `app` puts all of this together from a `config` and what `preflight` has loaded; `client` and `sender` are the other sides: what connects, what pushes.
//!
//! A stage uses stages to its right and the shared nouns, never one to its left; `tests/layers.rs` holds this.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod app;
pub mod auth;
pub mod azure;
pub mod backoff;
pub mod backplane;
pub mod catch_up;
pub mod client;
pub mod config;
pub mod connection;
pub mod delivery;
pub mod descriptors;
pub mod error_chain;
pub mod limits;
pub mod notification;
pub mod preflight;
pub mod protocol;
pub mod reactor;
pub mod reload;
pub mod route;
pub mod sender;
pub mod shutdown;
pub mod source;
pub mod telemetry;
pub mod timely;
pub mod transport;
pub mod trust;
