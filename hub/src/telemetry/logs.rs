//! Log lines: where they go, and which.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{Log, LogFormat};

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTo {
    /// Standard output: a service's log.
    Output,
    /// Standard error: standard output is for somebody else.
    Error,
}

/// Crates that log every failed request, again and again; what matters of it, the hub says itself.
const QUIET: &str = "typespec_client_core=warn,azure_core=warn,azure_identity=warn";

/// Begins logging; a second call is ignored.
pub fn start_logs(log: &Log, to: LogTo) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = match to {
        LogTo::Output => std::io::stdout().is_terminal(),
        LogTo::Error => std::io::stderr().is_terminal(),
    };
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let writer = match to {
        LogTo::Output => BoxMakeWriter::new(std::io::stdout),
        LogTo::Error => BoxMakeWriter::new(std::io::stderr),
    };
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(terminal).with_writer(writer);
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.compact().try_init() };
}
