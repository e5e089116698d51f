//! Reconciles `NotificationHub` resources into running hubs.
//!
//! ```text
//!  watches ──> controller ──> reconcile:  dereference → validate → build → apply → prune → status
//!                                         (reads)       (no I/O)   (no I/O) (writes, deletes, writes)
//! ```
//!
//! - [`controller`] decides which resource is reconciled, and when.
//! - [`reconcile`] reconciles one resource once. Its first and last three steps call the API server, through [`cluster`]
//!   only.
//! - [`model`] is a validated hub, [`build`] builds its desired objects, [`conditions`] computes its status, [`keys`]
//!   generates and rotates the keys that sign tokens. No I/O.
//! - [`third_party`] has the kinds of other projects, and discovers which of them the API server serves.
//! - [`connections`] scrapes the number of clients from the pods.
//! - [`crd_skew`] reports a CRD that is older than the operator, with [`schema`], the resource's schema at the API server.
//! - [`leader`] elects the one process that writes. [`admin`] serves probes and metrics on the port that [`listener`] binds,
//!   [`telemetry`] has logs and metrics.
//! - [`app`] starts and stops the parts of `run`, [`commands`] has the other commands.
//! - [`error_chain`] displays an error with its causes.

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
pub mod listener;
pub mod model;
pub mod permissions;
pub mod reconcile;
pub mod schema;
pub mod signals;
pub mod telemetry;
pub mod third_party;
