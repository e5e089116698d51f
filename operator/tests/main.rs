//! Tests of the operator against an API server in memory, and of its chart, manifests and command line.

#![expect(unreachable_pub, reason = "no crate depends on a test binary")]

mod admin;
mod adoption;
mod argocd;
mod autoscaling;
mod builders;
mod chart;
mod chart_files;
mod command;
mod commands;
mod common;
mod conditions;
mod connections;
mod contract;
mod controller;
mod crd_skew;
mod defaults;
mod drift;
mod exposure;
mod faults;
mod inherited;
mod leader;
mod paused;
mod permissions;
mod pipeline;
mod prune;
mod references;
mod release;
mod replicas;
mod rollout_limiter;
mod rotation;
mod third_party;
