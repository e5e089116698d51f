//! Turns `NotificationHub` resources into running hubs.
//!
//! ```text
//!  watches ──> controller ──> reconcile:  dereference → validate → build → apply → prune → status
//!                                         (reads)       (pure)     (pure)  (writes, deletes, writes)
//! ```
//!
//! - [`controller`] decides which resource is looked at, and when.
//! - [`reconcile`] is one look at one resource; its first and last three steps talk to the API server, through
//!   [`cluster`] only.
//! - [`model`] is a checked hub, [`build`] the objects that it should have, [`conditions`] what its status says,
//!   [`keys`] the keys that sign tokens: pure.
//! - [`third_party`] are the kinds that a cluster need not know, and which of them it does.
//! - [`connections`] asks the pods how many clients they have.
//! - [`crd_skew`] tells when the definition is older than the operator, by the schema that is [`schema`].
//! - [`leader`] sees to it that one process writes at a time, [`admin`] and [`telemetry`] tell of the process itself,
//!   [`app`] puts it together, [`error_chain`] displays an error with its causes, [`commands`] are what the program does beside running.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
pub mod app;
pub mod build;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod commands;
pub mod conditions;
pub mod config;
pub mod connections;
pub mod context;
pub mod controller;
pub mod crd_skew;
pub mod error_chain;
pub mod keys;
pub mod leader;
pub mod model;
pub mod permissions;
pub mod reconcile;
pub mod schema;
pub mod signals;
pub mod telemetry;
pub mod third_party;
