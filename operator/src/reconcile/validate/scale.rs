//! How many pods there are. Pure.

use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::{Autoscaling as Spec, NotificationHubSpec};

use crate::conditions::{Findings, Problem};
use crate::model::scale::{Autoscaling, Scale, Target};

/// How many percent of the CPU that it requests a pod should use, if nothing else decides.
const CPU: i32 = 80;

/// The scale, unless something is wrong with it. The rules of the definition say this too; a resource may be older than
/// the rules.
pub(super) fn check(spec: &NotificationHubSpec, findings: &mut Findings) -> Option<Scale> {
    let mut wrong = |message: String| findings.spec.push(Problem { reason: Reason::InvalidSpec, message });
    let (field, scale) = match (spec.replicas, &spec.autoscaling) {
        (Some(_), Some(_)) => {
            wrong("replicas: it cannot be given with autoscaling".to_owned());
            return None;
        }
        (replicas, None) => ("replicas", Scale::Fixed(replicas.unwrap_or(1))),
        (None, Some(autoscaling)) => ("autoscaling.maxReplicas", Scale::Automatic(automatic(autoscaling))),
    };
    let (first, most) = (scale.first(), scale.most());
    if first < 0 || most < first {
        wrong(format!("{field}: {most} is less than there has to be"));
        return None;
    }
    if most > 1 && spec.backplane.is_none() {
        wrong(format!("{field}: {most} need a backplane"));
        return None;
    }
    Some(scale)
}

fn automatic(spec: &Spec) -> Autoscaling {
    let connections = spec.connections_per_replica.map(Target::Connections);
    let cpu = spec.cpu_utilization.or(connections.is_none().then_some(CPU)).map(Target::Cpu);
    Autoscaling {
        least: spec.min_replicas.unwrap_or(1),
        most: spec.max_replicas,
        targets: connections.into_iter().chain(cpu).collect(),
    }
}
