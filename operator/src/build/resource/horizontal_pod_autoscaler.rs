//! The HorizontalPodAutoscaler. No I/O.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules,
    HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricIdentifier,
    MetricSpec, MetricTarget, PodsMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::build::metadata;
use crate::model::scale::{Autoscaling, Target};
use crate::model::{HUB_CONTAINER, ValidatedHub};

/// Name of the hub's metric of open connections.
const CONNECTIONS_METRIC: &str = "notification_hub_connections";

/// Stabilization window of scale-down, in seconds.
const STABILIZATION_WINDOW_SECONDS: i32 = 300;

/// Pods that scale-down may remove per minute: the larger of one pod and 10 percent.
const SCALE_DOWN_PER_MINUTE: [(&str, i32); 2] = [("Pods", 1), ("Percent", 10)];

/// Returns the HorizontalPodAutoscaler with these targets.
pub(in crate::build) fn build(
    hub: &ValidatedHub,
    autoscaling: &Autoscaling,
    targets: &[Target],
) -> HorizontalPodAutoscaler {
    HorizontalPodAutoscaler {
        metadata: metadata::for_child(hub, hub.name.as_str()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: hub.name.to_string(),
            },
            min_replicas: Some(autoscaling.min_replicas),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(targets.iter().map(metric).collect()),
            behavior: Some(scaling_behavior()),
        }),
        ..HorizontalPodAutoscaler::default()
    }
}

/// Returns the metric of a target.
fn metric(target: &Target) -> MetricSpec {
    match target {
        Target::Connections(count) => MetricSpec {
            type_: "Pods".to_owned(),
            pods: Some(PodsMetricSource {
                metric: MetricIdentifier { name: CONNECTIONS_METRIC.to_owned(), selector: None },
                target: MetricTarget {
                    type_: "AverageValue".to_owned(),
                    average_value: Some(Quantity(count.to_string())),
                    ..MetricTarget::default()
                },
            }),
            ..MetricSpec::default()
        },
        // Only the hub's container, because containers of the user may have no CPU request.
        Target::Cpu(percent) => MetricSpec {
            type_: "ContainerResource".to_owned(),
            container_resource: Some(ContainerResourceMetricSource {
                container: HUB_CONTAINER.to_owned(),
                name: "cpu".to_owned(),
                target: MetricTarget {
                    type_: "Utilization".to_owned(),
                    average_utilization: Some(*percent),
                    ..MetricTarget::default()
                },
            }),
            ..MetricSpec::default()
        },
    }
}

/// Returns the scaling behavior. Scale-up is immediate. Scale-down is slow, because each removed pod makes its clients
/// reconnect.
pub(super) fn scaling_behavior() -> HorizontalPodAutoscalerBehavior {
    let policy = |(type_, value): (&str, i32)| HPAScalingPolicy { type_: type_.to_owned(), value, period_seconds: 60 };
    HorizontalPodAutoscalerBehavior {
        scale_down: Some(HPAScalingRules {
            stabilization_window_seconds: Some(STABILIZATION_WINDOW_SECONDS),
            select_policy: Some("Max".to_owned()),
            policies: Some(SCALE_DOWN_PER_MINUTE.map(policy).into()),
            ..HPAScalingRules::default()
        }),
        scale_up: None,
    }
}
