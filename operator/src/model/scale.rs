//! Number of pods of a hub. No I/O.

use serde_json::Value;

/// Default target of CPU utilization, in percent of the request.
pub const DEFAULT_CPU_PERCENT: i32 = 80;

/// Number of pods of a hub.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Fixed number of pods.
    Fixed(i32),
    /// Number of pods that an autoscaler decides.
    Automatic(Autoscaling),
}

/// Settings of autoscaling.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaling {
    /// Minimum number of pods.
    pub min_replicas: i32,
    /// Maximum number of pods.
    pub max_replicas: i32,
    /// The autoscaler, or `None` if it is KEDA and the API server does not serve its kind.
    pub autoscaler: Option<Autoscaler>,
}

/// The autoscaler that decides the number of pods.
#[derive(Clone, Debug, PartialEq)]
pub enum Autoscaler {
    /// A HorizontalPodAutoscaler with these targets. Never empty.
    Targets(Vec<Target>),
    /// KEDA with these triggers. A default trigger if empty.
    Keda(Vec<Value>),
}

/// Target load of each pod. The target that needs the most pods decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Number of connections.
    Connections(i32),
    /// CPU utilization, in percent of the request.
    Cpu(i32),
}

impl Scale {
    /// Returns the number of pods of a new hub. An autoscaler changes it afterwards.
    pub fn initial_replicas(&self) -> i32 {
        match self {
            Scale::Fixed(count) => *count,
            Scale::Automatic(autoscaling) => autoscaling.min_replicas,
        }
    }

    /// Returns the maximum number of pods.
    pub fn max_replicas(&self) -> i32 {
        match self {
            Scale::Fixed(count) => *count,
            Scale::Automatic(autoscaling) => autoscaling.max_replicas,
        }
    }

    /// Returns the settings of autoscaling, or `None` if the number of pods is fixed.
    pub fn autoscaling(&self) -> Option<&Autoscaling> {
        match self {
            Scale::Fixed(_) => None,
            Scale::Automatic(autoscaling) => Some(autoscaling),
        }
    }
}
