//! How many pods a hub has. Pure.

use serde_json::Value;

/// How many percent of the CPU that it requests a pod should use, if nothing else decides.
pub const DEFAULT_CPU_PERCENT: i32 = 80;

/// How many pods a hub has.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// As many as the spec says.
    Fixed(i32),
    /// As many as are needed.
    Automatic(Autoscaling),
}

/// As many pods as are needed.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaling {
    /// At least.
    pub min_replicas: i32,
    /// At most.
    pub max_replicas: i32,
    /// Who decides; nobody while that would be KEDA, and the cluster does not know it.
    pub autoscaler: Option<Autoscaler>,
}

/// Who decides how many pods are needed.
#[derive(Clone, Debug, PartialEq)]
pub enum Autoscaler {
    /// A HorizontalPodAutoscaler, by these targets; never empty.
    Targets(Vec<Target>),
    /// KEDA, by these triggers, or by what it does best for a hub.
    Keda(Vec<Value>),
}

/// What every pod should have to do. The target that needs most pods decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// So many connections.
    Connections(i32),
    /// So many percent of the CPU that it requests.
    Cpu(i32),
}

impl Scale {
    /// How many a hub begins with; if that is automatic, it is an autoscaler's afterwards.
    pub fn initial_replicas(&self) -> i32 {
        match self {
            Scale::Fixed(count) => *count,
            Scale::Automatic(autoscaling) => autoscaling.min_replicas,
        }
    }

    /// How many there may be.
    pub fn max_replicas(&self) -> i32 {
        match self {
            Scale::Fixed(count) => *count,
            Scale::Automatic(autoscaling) => autoscaling.max_replicas,
        }
    }

    /// Who else decides on it.
    pub fn autoscaling(&self) -> Option<&Autoscaling> {
        match self {
            Scale::Fixed(_) => None,
            Scale::Automatic(autoscaling) => Some(autoscaling),
        }
    }
}
