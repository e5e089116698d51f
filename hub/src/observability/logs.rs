//! Sets up logging: target, format and level. The level can change while the process runs.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use super::log_writer::LogWriter;
use crate::config::{self, Log, LogFormat};
use crate::net::file_watch::{ReloadTrigger, watch_files};

/// The target of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output, for services.
    Stdout,
    /// Standard error, for commands that write results to standard output.
    Stderr,
}

/// Directives for crates that log each failed request. The hub logs such failures itself.
const NOISY_CRATES: &str = "typespec_client_core=warn,azure_core=warn,azure_identity=warn";

/// The reason why the level file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LevelError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file has no valid level.
    #[error("{path}: not a log level; give {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The expected form of a level.
        expected: &'static str,
    },
}

/// The level of the log, and the file that changes it.
pub struct LogLevel {
    level: String,
    file: Option<PathBuf>,
    set: Box<dyn Fn(&str) + Send + Sync>,
}

/// The writer of the log, once logging has started.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// Waits until all lines are written, for at most one second. Called before the process ends.
pub fn flush_logs() {
    WRITER.get().iter().for_each(|writer| LogWriter::flush(writer));
}

impl LogLevel {
    /// Applies the level in the file whenever it changes. Keeps the old level if the new one is invalid. Returns at once if
    /// there is no file, otherwise never.
    pub async fn run(self, trigger: ReloadTrigger) {
        let LogLevel { level, file, set } = self;
        let Some(file) = file else { return };
        let apply = |level: &String| {
            set(level);
            tracing::info!(level, "log level changed");
            Ok(())
        };
        watch_files("log.level_file", trigger, level, move |_| read_level(&file), apply, || {}).await;
    }
}

/// Starts logging, at the level in the level file or else at the configured level. A second call has no effect.
///
/// # Errors
/// Returns an error if the thread of the log cannot be started.
pub fn start_logs(log: &Log, target: LogTarget) -> io::Result<LogLevel> {
    let file_level = log.level_file.as_deref().map(read_level).transpose();
    let level = file_level.as_ref().ok().cloned().flatten().unwrap_or_else(|| log.level.clone());
    let is_terminal = match target {
        LogTarget::Stdout => io::stdout().is_terminal(),
        LogTarget::Stderr => io::stderr().is_terminal(),
    };
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    let writer = match target {
        LogTarget::Stdout => LogWriter::start(io::stdout())?,
        LogTarget::Stderr => LogWriter::start(io::stderr())?,
    };
    let _ = WRITER.set(writer.clone());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(&level))
        .with_target(false)
        .with_ansi(is_terminal)
        .with_writer(writer);
    let set: Box<dyn Fn(&str) + Send + Sync> = if json {
        let lines = lines.json().flatten_event(true).with_filter_reloading();
        let handle = lines.reload_handle();
        let _ = lines.try_init();
        // It fails only if the subscriber is dropped.
        Box::new(move |level| _ = handle.reload(filter(level)))
    } else {
        let lines = lines.compact().with_filter_reloading();
        let handle = lines.reload_handle();
        let _ = lines.try_init();
        Box::new(move |level| _ = handle.reload(filter(level)))
    };
    if let Err(error) = file_level {
        tracing::warn!(%error, "cannot read log.level_file; using log.level");
    }
    Ok(LogLevel { level, file: log.level_file.clone(), set })
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{NOISY_CRATES},{level}")).unwrap_or_else(|_| EnvFilter::new("info"))
}

fn read_level(file: &Path) -> Result<String, LevelError> {
    let text = fs::read_to_string(file).map_err(|source| LevelError::Unreadable { path: file.into(), source })?;
    config::parse_log_level(&text).map_err(|expected| LevelError::Malformed { path: file.into(), expected })
}
