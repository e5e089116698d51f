//! Tests of one hub each in a real Kubernetes cluster, run in parallel in separate namespaces. The other cluster tests
//! (`*_story.rs`) need the cluster or the operator exclusively, or many resources.

mod assigned_user;
mod bitwarden;
mod exposure;
mod prometheus;
mod queue;
mod refused_edits;
mod replicas;
mod settings;
mod third_party_kinds;
