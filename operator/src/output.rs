//! What the program writes. `println!` and `eprintln!` panic if the reader has gone; these do not.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// The reader of standard output has gone, as `head` does: the command ends, and nothing is wrong.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// Writes a text to standard output.
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
