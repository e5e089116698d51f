//! The user's pod template: `validate` parses it and removes protected fields, `build` merges it over the built one
//! (`pod_template`). No I/O.

use std::collections::BTreeSet;

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use super::{protected, round_trip};
use crate::model::labels::Labels;

/// A parsed pod template without unknown and protected fields.
#[derive(Clone, Debug)]
pub struct ParsedPodTemplate {
    /// The template.
    pub template: PodTemplateSpec,
    /// Paths of the unknown and protected fields that were dropped.
    pub dropped: Vec<String>,
}

/// Parses `spec.podTemplate` of a hub whose pods need the labels `required`. The error names the path.
pub fn parse_pod_template(json: &Value, required: &Labels) -> Result<ParsedPodTemplate, String> {
    // A user's template may omit `containers`, but the type requires the list.
    let mut with_containers = json.clone();
    if let Some(Value::Object(spec)) = with_containers.get_mut("spec") {
        spec.entry("containers").or_insert_with(|| Value::Array(Vec::new()));
    }
    let mut template: PodTemplateSpec = serde_path_to_error::deserialize(&with_containers)
        .map_err(|error| format!("podTemplate.{}: {}", error.path(), error.inner()))?;
    let parsed = serde_json::to_value(&template).map_err(|error| format!("podTemplate: {error}"))?;
    let mut dropped = round_trip::lost_paths(json, &parsed);
    dropped.extend(protected::remove_protected(&mut template, required));
    Ok(ParsedPodTemplate { template, dropped: dropped.into_iter().map(|path| format!("podTemplate.{path}")).collect() })
}

/// Merges the user's template over the built one. The error lists what the API server would refuse in the result.
pub(super) fn merge(
    mut built: PodTemplateSpec,
    user_template: Option<PodTemplateSpec>,
    selector: &LabelSelector,
) -> Result<PodTemplateSpec, Vec<String>> {
    let user_template = user_template.unwrap_or_default();
    remove_replaced_handlers(&mut built, &user_template);
    built.merge_from(user_template);
    for constraint in built.spec.iter_mut().flat_map(|spec| spec.topology_spread_constraints.iter_mut().flatten()) {
        // Without a selector it would match no pod.
        constraint.label_selector.get_or_insert_with(|| selector.clone());
    }
    let errors = validate_merged(&built);
    if errors.is_empty() { Ok(built) } else { Err(errors) }
}

/// Removes the handlers from the built template that the user's template replaces. A merge would keep both, and the API
/// server accepts one.
fn remove_replaced_handlers(built: &mut PodTemplateSpec, users: &PodTemplateSpec) {
    let Some((built, users)) = built.spec.as_mut().zip(users.spec.as_ref()) else { return };
    for container in &mut built.containers {
        let Some(users) = users.containers.iter().find(|other| other.name == container.name) else { continue };
        let probes = [
            (&mut container.startup_probe, &users.startup_probe),
            (&mut container.readiness_probe, &users.readiness_probe),
            (&mut container.liveness_probe, &users.liveness_probe),
        ];
        for (built, users) in probes {
            let Some((built, users)) = built.as_mut().zip(users.as_ref()) else { continue };
            if users.exec.is_some() || users.grpc.is_some() || users.http_get.is_some() || users.tcp_socket.is_some() {
                // The timings of the built probe stay.
                (built.exec, built.grpc, built.http_get, built.tcp_socket) = (None, None, None, None);
            }
        }
        let Some((built, users)) = container.lifecycle.as_mut().zip(users.lifecycle.as_ref()) else { continue };
        if users.pre_stop.is_some() {
            built.pre_stop = None;
        }
    }
}

/// Returns the errors that only a merge can cause. The API server reports all others itself.
fn validate_merged(template: &PodTemplateSpec) -> Vec<String> {
    let mut errors = Vec::new();
    let Some(spec) = &template.spec else { return errors };
    for (list, containers) in container_lists(spec) {
        let mut names = BTreeSet::new();
        for container in containers {
            check_container(list, container, &mut errors);
            if !names.insert(container.name.as_str()) {
                errors.push(format!(
                    "podTemplate.spec.{list}: two containers have the name {:?}; rename one",
                    container.name
                ));
            }
        }
    }
    for volume in spec.volumes.iter().flatten().filter(|volume| count_sources(volume) > 1) {
        errors.push(format!("podTemplate.spec.volumes[{}]: more than one source; remove the others", volume.name));
    }
    errors
}

/// Returns the names and the containers of both container lists.
fn container_lists(spec: &PodSpec) -> [(&'static str, &[Container]); 2] {
    [("containers", &spec.containers), ("initContainers", spec.init_containers.as_deref().unwrap_or_default())]
}

/// Checks the name, the image and the variables of a container.
fn check_container(list: &str, container: &Container, errors: &mut Vec<String>) {
    let path = format!("podTemplate.spec.{list}[{}]", container.name);
    if container.name.is_empty() {
        errors.push(format!("podTemplate.spec.{list}: a container without name; set its name"));
    } else if container.image.as_deref().is_none_or(str::is_empty) {
        errors.push(format!("{path}: no image; set image"));
    }
    for env in container.env.iter().flatten().filter(|env| env.value.is_some() && env.value_from.is_some()) {
        errors.push(format!("{path}.env[{}]: both value and valueFrom are set; remove one", env.name));
    }
}

/// Returns the number of sources of a volume.
fn count_sources(volume: &Volume) -> usize {
    let fields = serde_json::to_value(volume).unwrap_or_default();
    // Every field of a volume but its name is a source.
    fields.as_object().map_or(0, |fields| fields.len() - usize::from(fields.contains_key("name")))
}
