//! How bytes come in and go out: the front door, WebSockets, and plain HTTP.

pub mod connection_token;
pub mod cors;
pub mod front_door;
pub mod headers;
pub mod negotiate;
pub mod negotiations;
pub mod paths;
pub mod plain;
pub mod websocket;
