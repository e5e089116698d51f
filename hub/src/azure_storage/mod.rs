//! Azure Storage queues as both sides of a push need them: the account and its credentials, and one queue in it. No text
//! of an error and no log line holds a key, a signature or a token.

mod account;
mod connection_string;
mod error;
mod queue;
mod queue_name;
mod signing;
mod transport;

pub use account::{Account, AccountUrlError, Credential};
pub use connection_string::ConnectionStringError;
pub use error::QueueError;
pub use queue::{MAX_MESSAGE_BYTES, Queue, Received, TimeToLive};
pub use queue_name::QueueName;
