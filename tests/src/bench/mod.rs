//! The benchmark (`make bench`): the cost of the hub, beside that of controls, which are servers that only move bytes.
//!
//! | file | content |
//! |---|---|
//! | `population` | users, organizations, tokens |
//! | `push` | pushes and their audiences |
//! | `client`, `load` | the load generator: the state of a client, and the poll loop over thousands |
//! | `push_schedule` | pushes at fixed times |
//! | `server` | the hub or a control, as a process of its own |
//! | `loaded_server` | a server with its clients |
//! | `control` | the code that controls share |
//! | `counters`, `callgrind`, `meter` | instructions, counted by hardware or by valgrind |
//! | `memory` | the memory of a process |
//! | `machine` | the limit of file descriptors, CPUs |
//! | `statistics` | medians and percentiles |
//! | `rows` | the measurements, one in each file |
//! | `report` | the table, `bench.json`, the budgets |

pub mod callgrind;
pub mod client;
pub mod control;
pub mod counters;
pub mod load;
pub mod loaded_server;
pub mod machine;
pub mod memory;
pub mod meter;
pub mod population;
pub mod push;
pub mod push_schedule;
pub mod report;
pub mod rows;
pub mod server;
pub mod statistics;
