//! What the tests and the benchmark share.

pub mod azurite;
pub mod bench;
pub mod cluster;
pub mod crowd;
pub mod deployed;
pub mod descriptors;
pub mod fleet;
pub mod frames;
pub mod http;
pub mod install;
pub mod issuer;
pub mod keys;
pub mod ledger;
pub mod listener;
pub mod local_hub;
pub mod namespace;
pub mod negotiated;
pub mod process;
pub mod programs;
pub mod proxy;
pub mod raw_client;
pub mod secrets;
pub mod storage_account;
pub mod storage_queue;
pub mod token;
pub mod wait;
