//! Stories of one hub each, in a real Kubernetes: they are told side by side, in namespaces of their own. The other stories
//! (`*_story.rs`) need the cluster or the operator to themselves, or much of the machine.

mod bitwarden;
mod exposure;
mod optional_kinds;
mod queue;
mod refused_edits;
mod replicas;
mod settings;
