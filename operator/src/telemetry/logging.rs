//! Log lines on standard error. Secrets never reach them: their types do not print their content.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err("give json or text"),
        }
    }
}

/// The module that writes a malformed answer of the API server into the log, which may be a Secret. The error itself is
/// logged where it is handled.
const QUIETED_MODULE: &str = "kube_client::client=error";

/// Begins logging. Only once per process.
pub fn init(filter: EnvFilter, format: LogFormat) {
    let colors = std::io::stderr().is_terminal();
    let filter = match QUIETED_MODULE.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colors)
        // It would complain with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
        LogFormat::Text => subscriber.init(),
    }
}
