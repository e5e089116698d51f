//! Displays errors with all of their causes. No I/O.

use std::error::Error;
use std::fmt;

/// An error that displays its causes, too, separated by colons. Leaves out a cause whose text was already displayed,
/// because many errors display their cause themselves.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chain = self.0.to_string();
        let mut error = self.0;
        while let Some(cause) = error.source() {
            let text = cause.to_string();
            if !chain.contains(&text) {
                chain = format!("{chain}: {text}");
            }
            error = cause;
        }
        formatter.write_str(&chain)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("it failed: {0}")]
        Telling(#[source] Box<dyn Error + Send + Sync>),
        #[error("the request failed")]
        Silent(#[source] Box<dyn Error + Send + Sync>),
    }

    #[test]
    fn error_chain_contains_each_cause_once() {
        let refused = || io::Error::other("connection refused");
        let chain = |error: Failure| ErrorChain(&error).to_string();
        assert_eq!(chain(Failure::Telling(refused().into())), "it failed: connection refused");
        assert_eq!(chain(Failure::Silent(refused().into())), "the request failed: connection refused");
        let silent = || Box::new(Failure::Silent(refused().into()));
        assert_eq!(chain(Failure::Telling(silent())), "it failed: the request failed: connection refused");
    }
}
