//! The sources of pushes: `direct`, which is `POST /send`, or `azure_queue`. A hub has one of them. Both use [`PushPipeline`].

pub mod azure_queue;
mod pipeline;
pub mod send_endpoint;

pub use pipeline::{IngestError, PushPipeline};

use std::io;
use std::net::{SocketAddr, TcpListener};

use self::azure_queue::AzureQueueSource;

/// A source that does not receive pushes yet.
pub enum Source {
    /// The listener of the internal port.
    Direct(TcpListener),
    /// The queue source.
    AzureQueue(Box<AzureQueueSource>),
}

impl Source {
    /// Returns the address of the internal port, or `None` if this source has none.
    ///
    /// # Errors
    /// If the operating system does not return the address.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Source::Direct(listener) => listener.local_addr().map(Some),
            Source::AzureQueue(_) => Ok(None),
        }
    }
}
