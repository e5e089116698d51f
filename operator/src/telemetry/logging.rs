//! Log lines on standard error. The types of secrets do not print their content, so no secret is logged.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
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

/// Log directive of the module that would log a malformed answer of the API server, which may be a Secret. The caller
/// logs the error itself.
const CLIENT_DIRECTIVE: &str = "kube_client::client=error";

/// Initializes logging. Panics if it is called twice in a process.
pub fn init(filter: EnvFilter, format: LogFormat) {
    let colors = std::io::stderr().is_terminal();
    let filter = match CLIENT_DIRECTIVE.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colors)
        // Internal errors are written with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
        LogFormat::Text => subscriber.init(),
    }
}
