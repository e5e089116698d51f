//! How many pods there are. Pure.

use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::{Autoscaling as Spec, NotificationHubSpec};

use crate::conditions::{Findings, Problem};
use crate::model::scale::{Autoscaler, Autoscaling, DEFAULT_CPU, Scale, Target};
use crate::optional::OptionalKind;

/// The scale, unless something is wrong with it. The rules of the definition say this too; a resource may be older than
/// the rules.
pub(super) fn check(spec: &NotificationHubSpec, findings: &mut Findings) -> Option<Scale> {
    let knows_keda = !findings.unserved.contains(&OptionalKind::ScaledObject);
    let mut wrong = |message: String| findings.spec.push(Problem { reason: Reason::InvalidSpec, message });
    let (field, scale) = match (spec.replicas, &spec.autoscaling) {
        (Some(_), Some(_)) => {
            wrong("replicas: it cannot be given with autoscaling".to_owned());
            return None;
        }
        (replicas, None) => ("replicas", Scale::Fixed(replicas.unwrap_or(1))),
        (None, Some(autoscaling)) => ("autoscaling.maxReplicas", Scale::Automatic(automatic(autoscaling, knows_keda))),
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

fn automatic(spec: &Spec, knows_keda: bool) -> Autoscaling {
    let autoscaler = match &spec.keda {
        Some(keda) => knows_keda.then(|| Autoscaler::Keda(keda.triggers.clone())),
        None => {
            let connections = spec.connections_per_replica.map(Target::Connections);
            let cpu = spec.cpu_utilization.or(connections.is_none().then_some(DEFAULT_CPU)).map(Target::Cpu);
            Some(Autoscaler::Targets(connections.into_iter().chain(cpu).collect()))
        }
    };
    Autoscaling { least: spec.min_replicas.unwrap_or(1), most: spec.max_replicas, autoscaler }
}
