//! `make bench`: what the hub costs, each figure beside that of a server which does nothing but move bytes.
//!
//! | file | holds |
//! |---|---|
//! | `population` | who connects: users, organisations, tokens |
//! | `client`, `load` | the load generator: one client's state, and the loop over thousands |
//! | `server` | the hub or the control, as a process of its own |
//! | `counters`, `callgrind` | instructions, counted by the machine or by valgrind |
//! | `memory` | the memory of a process |
//! | `machine` | what the bench asks of the machine: descriptors, processors |
//! | `rows` | one measurement a file |
//! | `report` | the table, `bench.json`, the budgets |

pub mod callgrind;
pub mod client;
pub mod counters;
pub mod load;
pub mod machine;
pub mod memory;
pub mod population;
pub mod report;
pub mod rows;
pub mod server;
