//! HTTP: request heads, and every request that is not a WebSocket upgrade.
//!
//! Reactors read the heads of requests on the public port (`request_kind`) and serve WebSockets. axum serves all other requests,
//! one by one (`exchange`), on the public port (`plain_http`) and on the internal and admin ports (`port`). `negotiate` serves
//! negotiations. `hub_endpoint`, `server_sent_events` and `long_polling` serve clients without a WebSocket: a `relay` connects
//! each of these clients to its reactor. `upgrade_hint` tells what a failed upgrade lacks.

pub mod auth_guard;
pub mod client_address;
pub mod connection_token;
pub mod connection_token_registry;
pub mod cors;
pub mod error_response;
pub mod exchange;
pub mod headers;
pub mod host;
pub mod hub_endpoint;
pub mod long_polling;
pub mod negotiate;
pub mod paths;
pub mod plain_http;
pub mod port;
pub mod proxy_protocol;
pub mod relay;
pub mod relay_table;
pub mod request_body;
pub mod request_budget;
pub mod request_head;
pub mod request_kind;
pub mod server_sent_events;
mod upgrade_hint;
