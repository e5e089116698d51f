//! One file per kind of object. Pure.

pub(super) mod config_map;
pub(super) mod deployment;
pub(super) mod secret;
pub(super) mod service;
pub(super) mod service_account;
