//! The public port, up to an accepted client: accepts sockets (`acceptor`), reads request heads (`pending_request`), has tokens
//! verified (`token_verifier`) and applies the limits (`admission`, `connection_limits`, `budgets`).

pub(crate) mod acceptor;
pub(crate) mod admission;
mod budgets;
pub(crate) mod connection_limits;
pub(crate) mod pending_request;
pub(crate) mod token_verifier;
