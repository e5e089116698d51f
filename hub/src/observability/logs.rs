//! Log lines: where they go, and which.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use super::log_writer::LogWriter;
use crate::config::{self, Log, LogFormat};
use crate::net::file_watch::{ReloadTrigger, watch_files};

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

/// Why a file does not change the log's level.
#[derive(Debug, thiserror::Error)]
pub(super) enum LevelError {
    /// It could not be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It says no level.
    #[error("{path}: it has to be {needs}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What a level is.
        needs: &'static str,
    },
}

/// The level of a log that has begun.
pub struct LogLevel {
    level: String,
    file: Option<PathBuf>,
    set: Box<dyn Fn(&str) + Send + Sync>,
}

/// What writes the log, once it has begun.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// Waits until the last lines are written, for a second at most: before the process ends.
pub fn flush_logs() {
    WRITER.get().iter().for_each(|writer| LogWriter::flush(writer));
}

impl LogLevel {
    /// Follows what the file says, if there is one, for ever. What it says wrong leaves the old level in force.
    pub async fn run(self, trigger: ReloadTrigger) {
        let LogLevel { level, file, set } = self;
        let Some(file) = file else { return };
        let take = |level: &String| {
            set(level);
            tracing::info!(level, "the log's level has changed");
            Ok(())
        };
        watch_files("log.level_file", trigger, level, move |_| read(&file), take, || {}).await;
    }
}

/// Begins logging, at the level that the file says or else the setting; a second call is ignored.
///
/// # Errors
/// If the system gives no thread.
pub fn start_logs(log: &Log, to: LogTo) -> io::Result<LogLevel> {
    let said = log.level_file.as_deref().map(read).transpose();
    let level = said.as_ref().ok().cloned().flatten().unwrap_or_else(|| log.level.clone());
    let terminal = match to {
        LogTo::Output => io::stdout().is_terminal(),
        LogTo::Error => io::stderr().is_terminal(),
    };
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let writer = match to {
        LogTo::Output => LogWriter::start(io::stdout())?,
        LogTo::Error => LogWriter::start(io::stderr())?,
    };
    let _ = WRITER.set(writer.clone());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(&level))
        .with_target(false)
        .with_ansi(terminal)
        .with_writer(writer);
    let set: Box<dyn Fn(&str) + Send + Sync> = if json {
        let lines = lines.json().flatten_event(true).with_filter_reloading();
        let handle = lines.reload_handle();
        let _ = lines.try_init();
        // It fails only once there is no log any more.
        Box::new(move |level| _ = handle.reload(filter(level)))
    } else {
        let lines = lines.compact().with_filter_reloading();
        let handle = lines.reload_handle();
        let _ = lines.try_init();
        Box::new(move |level| _ = handle.reload(filter(level)))
    };
    if let Err(error) = said {
        tracing::warn!(%error, "log.level is in force");
    }
    Ok(LogLevel { level, file: log.level_file.clone(), set })
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{QUIET},{level}")).unwrap_or_else(|_| EnvFilter::new("info"))
}

fn read(file: &Path) -> Result<String, LevelError> {
    let text = fs::read_to_string(file).map_err(|source| LevelError::Unreadable { path: file.into(), source })?;
    config::parse_log_level(&text).map_err(|needs| LevelError::Malformed { path: file.into(), needs })
}
