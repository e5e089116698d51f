//! The chart, rendered by the Helm of the variable `HELM` or of the `PATH`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use notification_hub_crds::v1alpha1::PullPolicy;
use notification_hub_operator::cli::{DefaultsArguments, RunArguments};
use notification_hub_operator::config::{Config, DEFAULT_HUB_IMAGE};
use notification_hub_operator::permissions::{PERMISSIONS, Scope};
use serde_json::{Value, json};

pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/notification-hub-operator")
}

/// Runs Helm as [`tool`] does.
pub fn helm(arguments: &[&str]) -> Option<Output> {
    tool("HELM", "helm", arguments)
}

/// Runs the program that the variable names, or `name` from the `PATH`. Without the program, prints a message and returns
/// `None`, or panics if `CI` is `true`.
pub fn tool(variable: &str, name: &'static str, arguments: &[&str]) -> Option<Output> {
    let program = std::env::var_os(variable).unwrap_or_else(|| name.into());
    match Command::new(&program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let message = format!("no {name}, so what it reads is not tested: {}: {error}", program.display());
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{message}");
            // Not captured by the test harness, and printed once for all tests.
            static PRINTED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
            if PRINTED.lock().expect("no test panics here").insert(name) {
                let _ = writeln!(std::io::stderr(), "{message}");
            }
            None
        }
    }
}

/// Values without which the chart refuses to render.
pub const REGISTRIES: [&str; 2] =
    ["image.registry=\"registry.example.com\"", "hubImage.registry=\"registry.example.com\""];

/// Renders the chart with these values. The error is the output of Helm.
pub fn rendered_text(release: &str, namespace: &str, values: &[&str]) -> Option<Result<String, String>> {
    rendered_with(&["--skip-tests"], release, namespace, values)
}

/// Renders the chart with further options of Helm.
fn rendered_with(options: &[&str], release: &str, namespace: &str, values: &[&str]) -> Option<Result<String, String>> {
    let chart = chart();
    let mut arguments = vec!["template", release, chart.to_str().expect("a path"), "--namespace", namespace];
    arguments.extend(options);
    for value in REGISTRIES.iter().chain(values) {
        arguments.extend(["--set-json", value]);
    }
    let output = helm(&arguments)?;
    Some(if output.status.success() {
        Ok(String::from_utf8(output.stdout).expect("text"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    })
}

fn render(values: &[&str]) -> Option<Result<Vec<Value>, String>> {
    let text = rendered_text("test", "operators", values)?;
    Some(text.map(|text| {
        let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).expect("YAML"));
        documents.filter(Value::is_object).collect()
    }))
}

fn rendered(values: &[&str]) -> Option<Vec<Value>> {
    render(values).map(|result| result.unwrap_or_else(|error| panic!("{values:?}: {error}")))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Returns the ClusterRoles of the operator, or those of users of the resource, which are aggregated.
fn cluster_roles(objects: &[Value], aggregated: bool) -> Vec<&Value> {
    let is_aggregated = |role: &&Value| {
        let labels = role["metadata"]["labels"].as_object().expect("labels");
        labels.keys().any(|label| label.starts_with("rbac.authorization.k8s.io/aggregate-to-")) == aggregated
    };
    of_kind(objects, "ClusterRole").into_iter().filter(is_aggregated).collect()
}

/// Returns the only Deployment.
fn only_deployment(objects: &[Value]) -> &Value {
    let all = of_kind(objects, "Deployment");
    assert_eq!(all.len(), 1);
    all[0]
}

/// API group, resource and verb of each permission.
type Rights = BTreeSet<(String, String, String)>;

/// Returns the permissions of roles.
fn rights(roles: &[&Value]) -> Rights {
    let mut rights = Rights::new();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    for rule in roles.iter().flat_map(|role| role["rules"].as_array().expect("rules")) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    rights
}

/// Returns the permissions that the operator needs.
fn needed(scope: Scope) -> Rights {
    let scoped = PERMISSIONS.iter().filter(|permission| permission.scope == scope);
    let each = scoped.flat_map(|permission| {
        let right = |verb: &&str| (permission.group.to_owned(), permission.resource.to_owned(), (*verb).to_owned());
        permission.verbs.iter().map(right)
    });
    each.collect()
}

#[test]
fn chart_crd_equals_the_generated_crd() {
    let copy = std::fs::read_to_string(chart().join("files/crds/notificationhubs.yaml")).expect("the chart's copy");
    assert!(
        copy == include_str!("../../crds/yaml/notificationhubs.yaml"),
        "cp crds/yaml/notificationhubs.yaml charts/notification-hub-operator/files/crds/"
    );
}

#[test]
fn chart_rules_list_every_permission_with_its_reason() {
    let rules = std::fs::read_to_string(chart().join("templates/_rules.tpl")).expect("the rules");
    for permission in PERMISSIONS.iter().filter(|permission| permission.scope == Scope::Watched) {
        let verbs = permission.verbs.join(", ");
        let group = if permission.group.is_empty() { "\"\"" } else { permission.group };
        let rule = format!(
            "# {}\n- apiGroups: [{group}]\n  resources: [{}]\n  verbs: [{verbs}]\n",
            permission.reason, permission.resource
        );
        assert!(rules.contains(&rule), "templates/_rules.tpl lacks:\n{rule}");
    }
}

#[test]
fn chart_passes_helm_lint() {
    for values in [&[][..], &["--set-json", "watchNamespaces=[\"a\"]"]] {
        let chart = chart();
        let mut arguments = vec!["lint", "--strict", chart.to_str().expect("a path")];
        arguments.extend(values);
        let Some(output) = helm(&arguments) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn chart_roles_grant_exactly_the_needed_permissions() {
    let Some(objects) = rendered(&[]) else { return };
    assert_eq!(rights(&cluster_roles(&objects, false)), needed(Scope::Watched));
    assert_eq!(rights(&of_kind(&objects, "Role")), needed(Scope::Own));
    for role in of_kind(&objects, "Role") {
        assert_eq!(role["metadata"]["namespace"], "operators");
    }
}

#[test]
fn chart_with_watch_namespaces_grants_permissions_only_there() {
    let Some(objects) = rendered(&["watchNamespaces=[\"a\",\"b\"]"]) else { return };
    assert!(cluster_roles(&objects, false).is_empty() && of_kind(&objects, "ClusterRoleBinding").is_empty());
    let roles = of_kind(&objects, "Role");
    for namespace in ["a", "b"] {
        let there: Vec<_> = roles.iter().copied().filter(|role| role["metadata"]["namespace"] == namespace).collect();
        assert_eq!(rights(&there), needed(Scope::Watched), "{namespace}");
    }
    assert_eq!(roles.len(), 3, "and one for the Lease");
    let account = &of_kind(&objects, "ServiceAccount")[0]["metadata"];
    let bindings = of_kind(&objects, "RoleBinding");
    assert_eq!(bindings.len(), 3);
    for binding in bindings {
        let subject = json!([{ "kind": "ServiceAccount", "name": account["name"], "namespace": "operators" }]);
        assert_eq!(binding["subjects"], subject);
        let role = roles.iter().find(|role| {
            role["metadata"]["name"] == binding["roleRef"]["name"]
                && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        });
        assert!(role.is_some(), "{binding:#}");
    }
}

#[test]
fn chart_without_leader_election_grants_no_lease_permission() {
    let Some(objects) = rendered(&["leaderElection.enabled=false"]) else { return };
    assert!(of_kind(&objects, "Role").is_empty());
    assert_eq!(only_deployment(&objects)["spec"]["strategy"]["type"], "Recreate", "never two operators at once");
}

/// Returns the configuration of the operator from the environment of the rendered pod.
fn configuration(objects: &[Value]) -> Config {
    let deployment = only_deployment(objects);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["run"]));
    let mut environment: BTreeMap<&str, String> = BTreeMap::new();
    for variable in container["env"].as_array().expect("an environment") {
        let name = variable["name"].as_str().and_then(|name| name.strip_prefix("NOTIFICATION_HUB_OPERATOR_"));
        let value = variable["value"].as_str().unwrap_or("operators");
        environment.insert(name.expect("a variable of the operator's"), value.to_owned());
    }
    let mut take = |name| environment.remove(name);
    let arguments = RunArguments {
        watch_namespaces: take("WATCH_NAMESPACES"),
        leader_election: take("LEADER_ELECTION"),
        lease_name: take("LEASE_NAME"),
        lease_namespace: take("LEASE_NAMESPACE"),
        metrics_address: take("METRICS_ADDRESS"),
        defaults: DefaultsArguments {
            hub_image: take("HUB_IMAGE"),
            hub_image_pull_policy: take("HUB_IMAGE_PULL_POLICY"),
            hub_image_pull_secrets: take("HUB_IMAGE_PULL_SECRETS"),
            inherited_labels: take("INHERITED_LABELS"),
            inherited_annotations: take("INHERITED_ANNOTATIONS"),
        },
        max_concurrent_rollouts: take("MAX_CONCURRENT_ROLLOUTS"),
        log_level: take("LOG_LEVEL"),
        log_format: take("LOG_FORMAT"),
    };
    assert!(environment.is_empty(), "unknown variables: {environment:?}");
    Config::new(&arguments).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn chart_values_reach_the_operator_configuration() {
    let Some(objects) = rendered(&[]) else { return };
    let config = configuration(&objects);
    assert_eq!(config.defaults.image.to_string(), DEFAULT_HUB_IMAGE);
    assert!(config.namespaces.is_empty());
    let lease = config.lease_name.expect("an election");
    let granted: Vec<_> =
        of_kind(&objects, "Role").iter().map(|role| role["rules"][0]["resourceNames"].clone()).collect();
    assert_eq!(granted, [json!([lease])]);
    let container = &only_deployment(&objects)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], config.metrics_address.port());
    let own = format!("registry.example.com/notification-hub/notification-hub-operator:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(container["image"], own);

    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let values = [
        "watchNamespaces=[\"b\",\"a\"]".to_owned(),
        "leaderElection={\"enabled\":true,\"leaseName\":\"mine\"}".to_owned(),
        "log={\"level\":\"debug\",\"format\":\"text\"}".to_owned(),
        "metrics.port=9000".to_owned(),
        "maxConcurrentRollouts=2".to_owned(),
        "inherited={\"labels\":[\"team\",\"cost.example/*\"],\"annotations\":[\"owner\"]}".to_owned(),
        format!(
            "hubImage={{\"registry\":\"\",\"repository\":\"mirror:5000/hub\",\"tag\":\"2\",\"digest\":\"{digest}\",\"pullPolicy\":\"Always\",\"pullSecrets\":[\"a\",\"b\"]}}"
        ),
        format!(
            "image={{\"registry\":\"mirror:5000\",\"repository\":\"operator\",\"digest\":\"{digest}\",\"pullSecrets\":[\"registry\"]}}"
        ),
    ];
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    let Some(objects) = rendered(&values) else { return };
    let config = configuration(&objects);
    assert_eq!(config.namespaces, ["a", "b"]);
    assert_eq!(config.lease_name.as_deref(), Some("mine"));
    assert_eq!(config.metrics_address.port(), 9000);
    assert_eq!(config.max_concurrent_rollouts.get(), 2);
    assert_eq!(config.defaults.inheritance.labels, "team,cost.example/*".parse().expect("names"));
    assert_eq!(config.defaults.inheritance.annotations, "owner".parse().expect("names"));
    assert_eq!(config.defaults.image.to_string(), format!("mirror:5000/hub:2@{digest}"));
    assert_eq!(config.defaults.pull_policy, Some(PullPolicy::Always));
    assert_eq!(config.defaults.pull_secrets, ["a", "b"]);
    let pod = &only_deployment(&objects)["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], format!("mirror:5000/operator@{digest}"));
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "registry" }]));
}

#[test]
fn chart_pod_meets_the_restricted_standard() {
    let Some(objects) = rendered(&[]) else { return };
    let pod = &only_deployment(&objects)["spec"]["template"]["spec"];
    // OpenShift refuses a pod that names its user.
    assert_eq!(pod["securityContext"], json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } }));
    let container = &pod["containers"][0];
    let expected = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
    });
    assert_eq!(container["securityContext"], expected);
    assert!(container["resources"]["requests"]["memory"].is_string());
    assert!(container["livenessProbe"].is_object() && container["readinessProbe"].is_object());
}

/// A parent chart passes its condition and its global values.
#[test]
fn chart_global_values_and_mirrors_apply_to_both_images() {
    let values = [
        "enabled=true",
        "image.registry=\"mirror:5000/a\"",
        "global={\"imageRegistry\":\"mirror.example/team/x\",\"imagePullSecrets\":[\"one\",{\"name\":\"two\"}],\"other\":1}",
        "image.pullSecrets=[\"one\",\"three\"]",
    ];
    let Some(objects) = rendered(&values[..2]) else { return };
    let pod = |objects: &[Value]| only_deployment(objects)["spec"]["template"]["spec"].clone();
    let own = format!("notification-hub/notification-hub-operator:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(pod(&objects)["containers"][0]["image"], format!("mirror:5000/a/{own}"));
    let Some(objects) = rendered(&values) else { return };
    assert_eq!(pod(&objects)["containers"][0]["image"], format!("mirror.example/team/x/{own}"));
    let secrets = json!([{ "name": "one" }, { "name": "three" }, { "name": "two" }]);
    assert_eq!(pod(&objects)["imagePullSecrets"], secrets);
    let config = configuration(&objects);
    assert!(config.defaults.image.to_string().starts_with("mirror.example/team/x/notification-hub/notification-hub:"));
    assert_eq!(config.defaults.pull_secrets, ["one", "two"]);
}

/// The dependencies that `docs/install.md` shows.
const DEPENDENCIES: &str = "\
dependencies:
  - name: notification-hub-operator
    alias: hubs
    version: 0.1.0
    repository: file://../notification-hub-operator
    condition: hubs.enabled
";

#[test]
fn chart_as_a_dependency_takes_alias_condition_and_global_values() {
    let page = include_str!("../../docs/install.md");
    assert!(page.contains(&format!("```yaml\n{DEPENDENCIES}```")), "docs/install.md shows other dependencies");
    let folder = tempfile::tempdir().expect("a folder");
    let parent = folder.path();
    let metadata = format!("apiVersion: v2\nname: parent\nversion: 1.0.0\n{DEPENDENCIES}");
    std::fs::write(parent.join("Chart.yaml"), metadata).expect("writes");
    std::fs::create_dir(parent.join("charts")).expect("creates");
    let link = parent.join("charts/notification-hub-operator");
    std::os::unix::fs::symlink(chart().canonicalize().expect("the chart"), link).expect("links");
    let template = |values: &str| {
        let values = format!("{{\"enabled\":{values}}}");
        let arguments = ["template", "test", parent.to_str().expect("a path"), "--set-json", &format!("hubs={values}")];
        let global = ["--set", "global.imageRegistry=mirror.example/x"];
        let output = helm(&[&arguments[..], &global].concat())?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8(output.stdout).expect("text"))
    };
    let (Some(enabled), Some(disabled)) = (template("true"), template("false")) else { return };
    let image = "image: \"mirror.example/x/notification-hub/notification-hub-operator:";
    assert!(enabled.contains(image) && enabled.contains("name: test-hubs"), "{enabled}");
    assert!(!disabled.contains("kind:"), "{disabled}");
}

#[test]
fn chart_names_of_two_releases_in_two_namespaces_differ_in_the_cluster() {
    let names = |namespace: &str| -> Option<BTreeSet<String>> {
        let text = rendered_text("test", namespace, &["crds.enabled=false"])?.expect("it renders");
        let objects = text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).expect("YAML"));
        let of_cluster = objects.filter(|object| object.is_object() && object["metadata"].get("namespace").is_none());
        Some(of_cluster.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect())
    };
    let (Some(first), Some(second)) = (names("a"), names("b")) else { return };
    assert!(first.len() == 4 && first.is_disjoint(&second), "{first:?} {second:?}");
}

#[test]
fn chart_security_contexts_environment_and_names_are_customized() {
    let values = [
        "podSecurityContext={\"fsGroup\":7}",
        "securityContext={\"readOnlyRootFilesystem\":false,\"capabilities\":{\"add\":[\"X\"]}}",
        "extraEnv=[{\"name\":\"HTTPS_PROXY\",\"value\":\"http://proxy:3128\"}]",
        "nameOverride=\"hubs\"",
        "topologySpreadConstraints=[{\"topologyKey\":\"rack\",\"maxSkew\":1,\"whenUnsatisfiable\":\"DoNotSchedule\"}]",
        "metrics.service={\"enabled\":true,\"ipFamilyPolicy\":\"PreferDualStack\",\"ipFamilies\":[\"IPv6\"]}",
    ];
    let Some(objects) = rendered(&values) else { return };
    let deployment = only_deployment(&objects);
    assert_eq!(deployment["metadata"]["name"], "test-hubs");
    assert_eq!(deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"], "hubs");
    let pod = &deployment["spec"]["template"]["spec"];
    let expected = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" }, "fsGroup": 7 });
    assert_eq!(pod["securityContext"], expected);
    let expected = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": false,
        "capabilities": { "drop": ["ALL"], "add": ["X"] },
    });
    assert_eq!(pod["containers"][0]["securityContext"], expected);
    let environment = pod["containers"][0]["env"].as_array().expect("an environment");
    assert_eq!(environment.last(), Some(&json!({ "name": "HTTPS_PROXY", "value": "http://proxy:3128" })));
    assert_eq!(pod["topologySpreadConstraints"][0]["labelSelector"], deployment["spec"]["selector"]);
    let service = &of_kind(&objects, "Service")[0]["spec"];
    assert_eq!((&service["ipFamilyPolicy"], &service["ipFamilies"]), (&json!("PreferDualStack"), &json!(["IPv6"])));
}

#[test]
fn chart_keeps_the_crd_unless_disabled() {
    let Some(objects) = rendered(&[]) else { return };
    let mut crd = of_kind(&objects, "CustomResourceDefinition")[0].clone();
    assert_eq!(crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    let metadata = crd["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|field, _| field == "name");
    assert_eq!(crd, notification_hub_crds::crd::crd_json().expect("the CRD"));

    let Some(objects) = rendered(&["crds.keep=false"]) else { return };
    assert!(of_kind(&objects, "CustomResourceDefinition")[0]["metadata"].get("annotations").is_none());
    let Some(objects) = rendered(&["crds.enabled=false"]) else { return };
    assert!(of_kind(&objects, "CustomResourceDefinition").is_empty());
}

#[test]
fn chart_invalid_values_are_rejected_with_a_message() {
    let too_long = format!("fullnameOverride=\"{}\"", "a".repeat(56));
    let table: [(&[&str], &str); 32] = [
        (&[&too_long], "has 56 characters; give at most 55"),
        (&["extraEnv=[{\"name\":\"NOTIFICATION_HUB_OPERATOR_LOG_LEVEL\"}]"], "is a variable of the chart"),
        (&["extraEnv=[{\"value\":\"a\"}]"], "/extraEnv/0"),
        (&["global.imageRegistry=\"https://mirror\""], "/global/imageRegistry"),
        (&["metrics.service.ipFamilies=[\"IPv5\"]"], "/metrics/service/ipFamilies/0"),
        (&["nonsense=1"], "'nonsense' not allowed"),
        (&["image.nonsense=1"], "'nonsense' not allowed"),
        (&["image.tag=1"], "got number, want string"),
        (&["image.repository=null"], "image"),
        (&["hubImage.digest=\"sha256:1\""], "/hubImage/digest"),
        (&["replicas=\"one\""], "/replicas"),
        (&["log.format=\"xml\""], "/log/format"),
        (&["watchNamespaces=[\"A\"]"], "/watchNamespaces/0"),
        (&["watchNamespaces=[\"a\",\"a\"]"], "/watchNamespaces"),
        (&["metrics.port=80"], "/metrics/port"),
        (&["replicas=2", "leaderElection.enabled=false"], "more than one replica requires leader election"),
        (&["serviceAccount.create=false"], "serviceAccount.name must be set"),
        (&["image.registry=\"https://mirror\""], "/image/registry"),
        (&["image.pullSecrets=[\"A\"]"], "/image/pullSecrets/0"),
        (&["resources.requests={\"cpu\":[1]}"], "/resources/requests/cpu"),
        (&["tolerations=[{\"keys\":\"a\"}]"], "'keys' not allowed"),
        (&["affinity={\"node\":{}}"], "'node' not allowed"),
        (&["topologySpreadConstraints=[{}]"], "/topologySpreadConstraints/0"),
        (&["networkPolicy={\"enabled\":true,\"metricsFrom\":[{}]}"], "/networkPolicy/metricsFrom/0"),
        (&["metrics.podMonitor={\"enabled\":true,\"interval\":\"soon\"}"], "/metrics/podMonitor/interval"),
        (
            &["metrics.serviceMonitor.enabled=true", "metrics.service.enabled=false"],
            "metrics.serviceMonitor.enabled requires metrics.service.enabled",
        ),
        (&["inherited.labels=[\"*\"]"], "/inherited/labels/0"),
        (&["maxConcurrentRollouts=0"], "/maxConcurrentRollouts"),
        (&["metrics.dashboards.folder=\"a\""], "'folder' not allowed"),
        (&["metrics.prometheusRule.labels={\"a\":1}"], "/metrics/prometheusRule/labels/a"),
        (&["metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"], "may not both be true"),
        (&["networkPolicy.metricsFrom=[{\"podSelector\":{}}]"], "networkPolicy.metricsFrom requires a NetworkPolicy"),
    ];
    for (values, expected) in table {
        let Some(result) = render(values) else { return };
        let error = result.expect_err(&format!("{values:?} was accepted"));
        assert!(error.contains(expected), "{values:?}: {error}");
    }
}

/// Every object of the schema rejects unknown members, except objects that the API server validates.
#[test]
fn chart_values_schema_rejects_unknown_members_everywhere() {
    fn closed(path: &str, schema: &Value) {
        const VALIDATED_BY_KUBERNETES: [&str; 7] = [
            "global",
            "Affinity",
            "Selector",
            "ipBlock",
            "topologySpreadConstraints.items",
            "ecurityContext",
            "valueFrom",
        ];
        if schema["type"] == "object" && !VALIDATED_BY_KUBERNETES.iter().any(|name| path.ends_with(name)) {
            assert!(schema.get("additionalProperties").is_some(), "{path} accepts unknown members");
        }
        match schema {
            Value::Object(members) => members.iter().for_each(|(name, inner)| closed(&format!("{path}.{name}"), inner)),
            Value::Array(items) => items.iter().for_each(|inner| closed(path, inner)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(chart().join("values.schema.json")).expect("the schema");
    closed("", &serde_json::from_str(&text).expect("JSON"));
}

#[test]
fn chart_without_a_registry_is_refused_with_the_name_of_the_value() {
    for image in ["image", "hubImage"] {
        let Some(result) = render(&[&format!("{image}.registry=\"\"")]) else { return };
        let error = result.expect_err("no registry");
        assert!(error.contains(&format!("{image}.registry must be set: no release has been published yet")), "{error}");
    }
}

/// The Service and the budget of the operator would select the pod of `helm test` by the operator's labels.
#[test]
fn chart_test_pod_has_the_operators_environment_and_not_its_labels() {
    let values = ["image.pullSecrets=[\"login\"]", "extraEnv=[{\"name\":\"HTTPS_PROXY\",\"value\":\"http://proxy\"}]"];
    let only_test = ["--show-only", "templates/tests/permissions.yaml"];
    let Some(text) = rendered_with(&only_test, "test", "operators", &values) else { return };
    let text = text.expect("it renders");
    let test_pod: Value = serde_saphyr::from_str(text.trim_start_matches("---")).expect("YAML");
    let Some(objects) = rendered(&values) else { return };
    let deployment = only_deployment(&objects);
    let (pod, operator) = (&test_pod["spec"], &deployment["spec"]["template"]["spec"]);
    assert_ne!(test_pod["metadata"]["labels"]["app.kubernetes.io/name"], "notification-hub-operator");
    assert_eq!(pod["serviceAccountName"], operator["serviceAccountName"]);
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "login" }]));
    for field in ["image", "env", "resources", "securityContext"] {
        assert_eq!(pod["containers"][0][field], operator["containers"][0][field], "{field}");
    }
}

#[test]
fn chart_with_two_replicas_has_budget_and_spread_constraints() {
    let Some(objects) = rendered(&[]) else { return };
    assert!(of_kind(&objects, "PodDisruptionBudget").is_empty(), "a budget for one pod would block node drains");
    assert!(only_deployment(&objects)["spec"]["template"]["spec"].get("topologySpreadConstraints").is_none());

    let Some(objects) = rendered(&["replicas=2"]) else { return };
    let budget = &of_kind(&objects, "PodDisruptionBudget")[0]["spec"];
    let selector = &only_deployment(&objects)["spec"]["selector"];
    let expected = json!({ "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector });
    assert_eq!(*budget, expected);
    let constraint = |key: &str| {
        json!({
            "topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector,
        })
    };
    assert_eq!(
        only_deployment(&objects)["spec"]["template"]["spec"]["topologySpreadConstraints"],
        json!([constraint("kubernetes.io/hostname"), constraint("topology.kubernetes.io/zone")])
    );

    let mut own = constraint("rack");
    for selector in [json!({ "matchLabels": { "team": "a" } }), json!({})] {
        own["labelSelector"] = selector;
        let Some(objects) = rendered(&["replicas=2", &format!("topologySpreadConstraints=[{own}]")]) else { return };
        let spread = &only_deployment(&objects)["spec"]["template"]["spec"]["topologySpreadConstraints"];
        assert_eq!(*spread, json!([own]), "only these constraints");
    }
}

#[test]
fn chart_user_roles_aggregate_with_the_documented_verbs() {
    let Some(objects) = rendered(&[]) else { return };
    let verbs_and_roles = |name: &str| {
        let roles = cluster_roles(&objects, true);
        let role = roles.into_iter().find(|role| role["metadata"]["name"] == name).expect("the role");
        let verbs = rights(&[role]).into_iter().map(|(group, resource, verb)| {
            assert_eq!(group, notification_hub_crds::GROUP);
            format!("{verb} {resource}")
        });
        let labels = role["metadata"]["labels"].as_object().expect("labels");
        let to = |role: &&str| labels.contains_key(&format!("rbac.authorization.k8s.io/aggregate-to-{role}"));
        (verbs.collect::<Vec<_>>(), ["view", "edit", "admin"].into_iter().filter(to).collect::<Vec<_>>())
    };
    let (verbs, roles) = verbs_and_roles("operators-test-notification-hub-operator-view");
    assert_eq!(roles, ["view", "edit", "admin"]);
    assert!(
        verbs.iter().all(|verb| ["get ", "list ", "watch "].iter().any(|read| verb.starts_with(read))),
        "{verbs:?}"
    );
    let (verbs, roles) = verbs_and_roles("operators-test-notification-hub-operator-edit");
    assert_eq!(roles, ["edit", "admin"]);
    assert!(!verbs.iter().any(|verb| verb.ends_with("/status")), "only the operator writes the status: {verbs:?}");

    let Some(objects) = rendered(&["rbac.aggregate=false"]) else { return };
    assert!(cluster_roles(&objects, true).is_empty());
}

#[test]
fn chart_renders_monitors_and_network_policy_only_when_enabled() {
    let kinds = ["ServiceMonitor", "PodMonitor", "NetworkPolicy", "PrometheusRule", "ConfigMap"];
    let Some(objects) = rendered(&[]) else { return };
    assert!(kinds.iter().all(|kind| of_kind(&objects, kind).is_empty()));
    let Some(objects) = rendered(&["metrics.podMonitor.enabled=true", "networkPolicy.enabled=true"]) else { return };
    let selector = &only_deployment(&objects)["spec"]["selector"];
    let monitor = &of_kind(&objects, "PodMonitor")[0]["spec"];
    assert_eq!(*monitor, json!({ "selector": selector, "podMetricsEndpoints": [{ "port": "metrics" }] }));
    let policy = &of_kind(&objects, "NetworkPolicy")[0]["spec"];
    let ingress = json!([{ "ports": [{ "port": "metrics", "protocol": "TCP" }] }]);
    assert_eq!(*policy, json!({ "podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress }));
}

#[test]
fn chart_alerts_and_dashboards_equal_their_files() {
    let Some(objects) = rendered(&["metrics.prometheusRule.enabled=true", "metrics.dashboards.enabled=true"]) else {
        return;
    };
    let file = |path: &str| std::fs::read_to_string(chart().join("files").join(path)).expect("a file");
    let rules: Value = serde_saphyr::from_str(&file("alerts.yaml")).expect("YAML");
    assert_eq!(of_kind(&objects, "PrometheusRule")[0]["spec"], rules);
    let dashboards = of_kind(&objects, "ConfigMap");
    assert_eq!(dashboards.len(), 2);
    for (dashboard, name) in dashboards.into_iter().zip(["hub", "operator"]) {
        assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
        let key = format!("notification-hub-{name}.json");
        assert_eq!(dashboard["data"][&key], file(&format!("dashboards/{name}.json")), "{name}");
    }
}
