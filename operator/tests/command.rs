//! The command line of the operator: exit statuses and output.

use std::process::{Command, Output};

fn operator(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_notification-hub-operator"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn run_invalid_configuration_lists_every_error_and_exits_2() {
    let output = operator(
        &["run", "--watch-namespaces", "good,Bad", "--metrics-address", "here"],
        &[("NOTIFICATION_HUB_OPERATOR_LOG_FORMAT", "xml"), ("NOTIFICATION_HUB_OPERATOR_LEADER_ELECTION", "perhaps")],
    );
    assert_eq!(output.status.code(), Some(2));
    let errors = text(&output.stderr);
    for flag in ["--watch-namespaces (", "--metrics-address (", "--log-format (", "--leader-election ("] {
        assert!(errors.contains(flag), "{flag} in {errors}");
    }
    assert!(!errors.contains("good"), "only invalid values: {errors}");
    assert!(errors.lines().all(|line| line.starts_with("error: --")), "one line for each error: {errors}");
}

#[test]
fn command_invalid_usage_exits_2() {
    for arguments in [&["run", "--nonsense"][..], &[], &["walk"]] {
        assert_eq!(operator(arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn run_without_api_server_exits_1() {
    let no_cluster = [("KUBECONFIG", "/nonexistent"), ("NOTIFICATION_HUB_OPERATOR_METRICS_ADDRESS", "127.0.0.1:0")];
    let output = operator(&["run"], &no_cluster);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot connect to the Kubernetes API server"), "{}", text(&output.stderr));
}

#[test]
fn command_without_api_server_or_valid_input_exits_nonzero() {
    let no_cluster = [("KUBECONFIG", "/nonexistent")];
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/samples/minimal.yaml");
    let table = [
        (&["check-permissions"][..], 1, "cannot connect to the Kubernetes API server"),
        (&["diff", "-f", file], 2, "cannot connect to the Kubernetes API server"),
        (&["diff", "-f", "/nonexistent"], 2, "/nonexistent: "),
        (&["diff", "-f", file, "--hub-image", "a b"], 2, "--hub-image ("),
        (&["check-permissions", "--watch-namespaces", "A"], 2, "--watch-namespaces ("),
        (&["diff"], 2, "--file"),
    ];
    for (arguments, status, expected) in table {
        let output = operator(arguments, &no_cluster);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(expected), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn command_error_contains_each_cause_once() {
    let output = operator(&["check-permissions"], &[("KUBECONFIG", "/nonexistent")]);
    let errors = text(&output.stderr);
    assert_eq!(
        errors.matches("No such file or directory").count(),
        errors.matches("/nonexistent").count().max(1),
        "{errors}"
    );
    let causes: Vec<&str> = errors.trim().split(": ").collect();
    let distinct: std::collections::BTreeSet<&&str> = causes.iter().collect();
    assert_eq!(distinct.len(), causes.len(), "{errors}");
}

#[test]
fn command_with_closed_stdout_exits_without_panic() {
    for arguments in [&["crd"][..], &["version"], &["run", "--watch-namespaces", "A"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_notification-hub-operator"));
        command.args(arguments).env_clear().stdout(writer.try_clone().expect("a pipe"));
        let output = command.output().expect("the program runs");
        assert!(!text(&output.stderr).contains("panicked"), "{arguments:?}: {output:?}");
        assert_eq!(output.status.code(), Some(if arguments.len() > 1 { 2 } else { 0 }), "{arguments:?}: {output:?}");
        let status = command.stderr(writer).status().expect("the program runs");
        assert_eq!(status.code(), output.status.code(), "{arguments:?}");
    }
}

#[test]
fn crd_command_prints_the_committed_crd() {
    let output = operator(&["crd"], &[]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), include_str!("../../crds/yaml/notificationhubs.yaml"));
}

#[test]
fn version_command_prints_the_package_version() {
    assert_eq!(text(&operator(&["version"], &[]).stdout).trim(), env!("CARGO_PKG_VERSION"));
}
