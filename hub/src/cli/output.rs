//! What commands write. `println!` and `eprintln!` panic if the reader has gone; these do not.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// The reader of standard output has gone, as `head` does: the command ends, and nothing is wrong.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct OutputClosed;

/// Writes a line to standard output.
pub(crate) fn print_line(text: impl Display) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        written => written.context("standard output"),
    }
}

/// Writes a line to standard error, unless that is closed.
pub(crate) fn print_notice(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
