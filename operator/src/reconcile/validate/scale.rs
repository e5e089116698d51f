//! Validates the number of pods. No I/O.

use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::{Autoscaling as Spec, NotificationHubSpec};

use crate::conditions::{Diagnostic, Diagnostics};
use crate::model::scale::{Autoscaler, Autoscaling, DEFAULT_CPU_PERCENT, Scale, Target};
use crate::third_party::ThirdPartyKind;

/// Returns the scale, or `None` if it is invalid. The CRD's rules check this too, but a resource may be older than the
/// rules.
pub(super) fn check(spec: &NotificationHubSpec, diagnostics: &mut Diagnostics) -> Option<Scale> {
    let is_keda_served = !diagnostics.unserved.contains(&ThirdPartyKind::ScaledObject);
    let mut report = |message: String| diagnostics.spec.push(Diagnostic { reason: Reason::InvalidSpec, message });
    let (min_field, max_field, scale) = match (spec.replicas, &spec.autoscaling) {
        (Some(_), Some(_)) => {
            report("replicas: not allowed with autoscaling; remove one of them".to_owned());
            return None;
        }
        (replicas, None) => ("replicas", "replicas", Scale::Fixed(replicas.unwrap_or(1))),
        (None, Some(autoscaling)) => {
            let scale = Scale::Automatic(automatic(autoscaling, is_keda_served));
            ("autoscaling.minReplicas", "autoscaling.maxReplicas", scale)
        }
    };
    let (initial, max) = (scale.initial_replicas(), scale.max_replicas());
    if initial < 0 {
        report(format!("{min_field}: {initial} is negative; give 0 or more"));
        return None;
    }
    if max < initial {
        report(format!("{max_field}: {max} is less than {min_field} ({initial}); increase it"));
        return None;
    }
    if max > 1 && spec.backplane.is_none() {
        report(format!("{max_field}: {max} pods require a backplane; set backplane"));
        return None;
    }
    Some(scale)
}

/// Returns the settings of autoscaling with their defaults.
fn automatic(spec: &Spec, is_keda_served: bool) -> Autoscaling {
    let autoscaler = match &spec.keda {
        Some(keda) => is_keda_served.then(|| Autoscaler::Keda(keda.triggers.clone())),
        None => {
            let connections = spec.target_connections_per_replica.map(Target::Connections);
            let cpu = spec
                .target_cpu_utilization_percentage
                .or(connections.is_none().then_some(DEFAULT_CPU_PERCENT))
                .map(Target::Cpu);
            Some(Autoscaler::Targets(connections.into_iter().chain(cpu).collect()))
        }
    };
    Autoscaling { min_replicas: spec.min_replicas.unwrap_or(1), max_replicas: spec.max_replicas, autoscaler }
}
