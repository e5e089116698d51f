//! Writes to standard output and standard error. Unlike `println!` and `eprintln!`, it does not panic if they are closed.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Error of a closed standard output, for example by `head`. It ends the command successfully.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// Writes a text to standard output. Returns [`OutputClosed`] if standard output is closed.
pub(crate) fn print_text(text: impl Display) -> anyhow::Result<()> {
    let mut output = io::stdout();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        written => written.context("standard output"),
    }
}

/// Writes an error to standard error, unless that is closed.
pub(crate) fn print_error(error: impl Display) {
    let _ = writeln!(io::stderr(), "error: {error}");
}
