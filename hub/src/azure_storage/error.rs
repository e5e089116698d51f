//! The errors of requests to a queue.

use std::error::Error;

use azure_core::error::ErrorKind;

/// The reason why a request to a queue failed. Its texts contain no credential. They leave out URLs and the service's own
/// messages, because both may contain signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The queue does not exist.
    #[error("the queue does not exist")]
    Missing,
    /// The credential is invalid or does not permit the request.
    #[error(
        "the storage account refused the credential ({status} {code}); check the credential and this machine's clock"
    )]
    Refused {
        /// The status.
        status: u16,
        /// The service's name for the error.
        code: String,
    },
    /// The message was deleted, or received again after its visibility timeout.
    #[error("the lease of the message was lost ({code})")]
    LeaseLost {
        /// The service's name for the error.
        code: String,
    },
    /// The text is too long.
    #[error("the text is too long for a queue message; the maximum is 65536 bytes")]
    TooLarge,
    /// Any other error status.
    #[error("the storage account answered {status} {code}")]
    ErrorStatus {
        /// The status.
        status: u16,
        /// The service's name for the error.
        code: String,
    },
    /// No connection, or no answer in time.
    #[error("cannot reach the storage account: {0}")]
    Unreachable(String),
    /// The workload identity has no token.
    #[error("cannot get a token for the workload identity: {0}")]
    Identity(String),
    /// The request could not be built, or the response could not be read.
    #[error("invalid request to the storage account, or invalid response: {0}")]
    InvalidResponse(String),
}

impl QueueError {
    /// Returns the category of the error, for log fields and to compare errors.
    pub fn category(&self) -> &'static str {
        match self {
            QueueError::Missing => "missing",
            QueueError::Refused { .. } => "refused",
            QueueError::LeaseLost { .. } => "lease_lost",
            QueueError::TooLarge => "too_large",
            QueueError::ErrorStatus { .. } => "error_status",
            QueueError::Unreachable(_) => "unreachable",
            QueueError::Identity(_) => "identity",
            QueueError::InvalidResponse(_) => "invalid_response",
        }
    }

    /// Returns the error for a status and the service's error code.
    fn from_response(status: u16, code: &str) -> QueueError {
        // Error codes are alphanumeric. Other characters are left out, because they may belong to a quoted URL.
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        match (status, code.as_str()) {
            (404, "QueueNotFound") => QueueError::Missing,
            (404, "MessageNotFound") | (400, "PopReceiptMismatch") => QueueError::LeaseLost { code },
            (413, _) | (400, "MessageTooLarge") => QueueError::TooLarge,
            (401 | 403, _) => QueueError::Refused { status, code },
            _ => QueueError::ErrorStatus { status, code },
        }
    }
}

impl From<azure_core::Error> for QueueError {
    fn from(error: azure_core::Error) -> QueueError {
        match error.kind() {
            ErrorKind::HttpResponse { status, error_code, .. } => {
                QueueError::from_response(u16::from(*status), error_code.as_deref().unwrap_or_default())
            }
            ErrorKind::Connection | ErrorKind::Io => QueueError::Unreachable(root_cause(&error)),
            ErrorKind::Credential => QueueError::Identity(root_cause(&error)),
            _ => QueueError::InvalidResponse(root_cause(&error)),
        }
    }
}

/// Returns the text of an error's root cause. Replaces texts that may contain a URL or parts of a response, such as a token.
fn root_cause(error: &azure_core::Error) -> String {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<serde_json::Error>() {
        Some(error) => format!("malformed JSON at line {}, column {}", error.line(), error.column()),
        None if cause.is::<reqwest::Error>() => "incomplete response".to_owned(),
        None => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_error_category_follows_status_and_code() {
        for (status, code, category) in [
            (404, "QueueNotFound", "missing"),
            (404, "MessageNotFound", "lease_lost"),
            (400, "PopReceiptMismatch", "lease_lost"),
            (413, "RequestBodyTooLarge", "too_large"),
            (403, "AuthenticationFailed", "refused"),
            (503, "ServerBusy", "error_status"),
            (404, "", "error_status"),
        ] {
            assert_eq!(QueueError::from_response(status, code).category(), category, "{status} {code}");
        }
        let text = QueueError::from_response(500, "a b\n<c>?sig=x").to_string();
        assert_eq!(text, "the storage account answered 500 abcsigx");
    }

    #[test]
    fn queue_error_malformed_json_is_not_quoted() {
        let malformed = serde_json::from_str::<u64>("\"SECRET\"").expect_err("no number");
        let error = azure_core::Error::new(ErrorKind::Credential, malformed);
        let error = QueueError::from(error.with_context("no token"));
        assert_eq!(
            error.to_string(),
            "cannot get a token for the workload identity: malformed JSON at line 1, column 8"
        );
    }

    #[test]
    fn queue_error_message_ends_with_the_root_cause() {
        let error = azure_core::Error::with_message(ErrorKind::Connection, "connection refused");
        let error = QueueError::from(error.with_context("retry policy expired"));
        assert_eq!(error.to_string(), "cannot reach the storage account: connection refused");
    }
}
