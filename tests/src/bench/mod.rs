//! `make bench`: what the hub costs, each figure beside that of a server which does nothing but move bytes.
//!
//! | file | holds |
//! |---|---|
//! | `population` | who connects: users, organisations, tokens |
//! | `push` | what is pushed, and to whom |
//! | `client`, `load` | the load generator: one client's state, and the loop over thousands |
//! | `pace` | pushes at fixed moments |
//! | `server` | the hub or a control, as a process of its own |
//! | `scene` | a server with its clients |
//! | `control` | what the controls have in common |
//! | `counters`, `callgrind`, `meter` | instructions, counted by the machine or by valgrind |
//! | `memory` | the memory of a process |
//! | `machine` | what the bench asks of the machine: descriptors, processors |
//! | `statistics` | medians and percentiles |
//! | `rows` | one measurement a file |
//! | `report` | the table, `bench.json`, the budgets |

pub mod callgrind;
pub mod client;
pub mod control;
pub mod counters;
pub mod load;
pub mod machine;
pub mod memory;
pub mod meter;
pub mod pace;
pub mod population;
pub mod push;
pub mod report;
pub mod rows;
pub mod scene;
pub mod server;
pub mod statistics;
