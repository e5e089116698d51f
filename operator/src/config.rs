//! The operator's own configuration: checks every option and reports all errors at once. No I/O.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::str::FromStr;

use notification_hub_crds::v1alpha1::PullPolicy;
use tracing_subscriber::EnvFilter;

use crate::cli::RunArguments;
use crate::model::defaults::Defaults;
use crate::model::image::ImageReference;
use crate::model::inheritance::{Inheritance, NamePatterns};
use crate::telemetry::logging::LogFormat;

/// Default image of hubs without `spec.image`.
pub const DEFAULT_HUB_IMAGE: &str =
    concat!("registry.example.com/notification-hub/notification-hub:", env!("CARGO_PKG_VERSION"));

/// Default maximum number of concurrent rollouts that no change of a spec has caused.
const DEFAULT_MAX_CONCURRENT_ROLLOUTS: NonZeroUsize = NonZeroUsize::new(5).unwrap();

/// Default name of the Lease.
const DEFAULT_LEASE_NAME: &str = "notification-hub-operator";

/// A valid configuration.
#[derive(Debug)]
pub struct Config {
    /// Namespaces to watch, sorted. Empty for all namespaces.
    pub namespaces: Vec<String>,
    /// Name of the Lease, or `None` without leader election.
    pub lease_name: Option<String>,
    /// Namespace of the Lease, or `None` for the default namespace of the client.
    pub lease_namespace: Option<String>,
    /// Address of the probes and metrics.
    pub metrics_address: SocketAddr,
    /// Defaults of every hub.
    pub defaults: Defaults,
    /// Maximum number of concurrent rollouts that no change of a spec has caused.
    pub max_concurrent_rollouts: NonZeroUsize,
    /// Filter of log lines.
    pub log_filter: EnvFilter,
    /// Format of log lines.
    pub log_format: LogFormat,
}

/// Errors of all invalid options.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    /// Returns the errors one by one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Config {
    /// Parses and checks the options.
    pub fn new(arguments: &RunArguments) -> Result<Config, ConfigErrors> {
        let mut errors = Vec::new();
        let mut report = |flag: &str, message: String| {
            let variable = format!("NOTIFICATION_HUB_OPERATOR_{}", flag.to_uppercase().replace('-', "_"));
            errors.push(format!("--{flag} ({variable}): {message}"));
        };
        // A set, because two controllers of one namespace would reconcile the same resources.
        let namespaces: BTreeSet<String> = names(&arguments.watch_namespaces).into_iter().collect();
        for name in namespaces.iter().filter(|name| !is_dns_label(name)) {
            report("watch-namespaces", format!("{name:?} is not a namespace name; give DNS labels"));
        }
        let election =
            parse_or_default("leader-election", &arguments.leader_election, true, "give true or false", &mut report);
        let lease_name = non_empty(&arguments.lease_name).unwrap_or(DEFAULT_LEASE_NAME);
        if !is_dns_label(lease_name) {
            report("lease-name", format!("{lease_name:?} is not a Lease name; give a DNS label"));
        }
        let lease_namespace = non_empty(&arguments.lease_namespace);
        if let Some(name) = lease_namespace.filter(|name| !is_dns_label(name)) {
            report("lease-namespace", format!("{name:?} is not a namespace name; give a DNS label"));
        }
        let default_address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080));
        let metrics_address = parse_or_default(
            "metrics-address",
            &arguments.metrics_address,
            default_address,
            "give an IP address and a port, such as [::]:8080",
            &mut report,
        );
        let max_concurrent_rollouts = parse_or_default(
            "max-concurrent-rollouts",
            &arguments.max_concurrent_rollouts,
            DEFAULT_MAX_CONCURRENT_ROLLOUTS,
            "give a number greater than 0",
            &mut report,
        );
        let hub_image = non_empty(&arguments.defaults.hub_image).unwrap_or(DEFAULT_HUB_IMAGE).parse::<ImageReference>();
        let pull_policy = non_empty(&arguments.defaults.hub_image_pull_policy).and_then(|policy| {
            let known = PullPolicy::VARIANTS.into_iter().find(|known| known.as_str() == policy);
            if known.is_none() {
                let message = format!("{policy:?} is not a pull policy; give Always, IfNotPresent or Never");
                report("hub-image-pull-policy", message);
            }
            known
        });
        let pull_secrets = names(&arguments.defaults.hub_image_pull_secrets);
        for name in pull_secrets.iter().filter(|name| !is_dns_subdomain(name)) {
            report("hub-image-pull-secrets", format!("{name:?} is not the name of a Secret; give DNS subdomains"));
        }
        let log_filter = non_empty(&arguments.log_level).unwrap_or("info").parse::<EnvFilter>();
        let log_format =
            parse_or_default("log-format", &arguments.log_format, LogFormat::Json, "give json or text", &mut report);
        let mut inherited = |flag: &str, option: &Option<String>| {
            let names = non_empty(option).unwrap_or_default().parse::<NamePatterns>();
            names.unwrap_or_else(|error| {
                report(flag, error.to_string());
                NamePatterns::default()
            })
        };
        let inheritance = Inheritance {
            labels: inherited("inherited-labels", &arguments.defaults.inherited_labels),
            annotations: inherited("inherited-annotations", &arguments.defaults.inherited_annotations),
        };
        let hub_image = hub_image.map_err(|error| report("hub-image", error.to_string()));
        let log_filter = log_filter.map_err(|error| report("log-level", error.to_string()));
        match (hub_image, log_filter, errors.is_empty()) {
            (Ok(image), Ok(log_filter), true) => Ok(Config {
                namespaces: namespaces.into_iter().collect(),
                lease_name: election.then(|| lease_name.to_owned()),
                lease_namespace: lease_namespace.map(str::to_owned),
                metrics_address,
                defaults: Defaults { image, pull_policy, pull_secrets, inheritance },
                max_concurrent_rollouts,
                log_filter,
                log_format,
            }),
            _ => Err(ConfigErrors(errors)),
        }
    }
}

/// Returns the value of an option, or `None` if it is absent or empty. The chart passes empty values for options that
/// are not set.
fn non_empty(option: &Option<String>) -> Option<&str> {
    option.as_deref().filter(|text| !text.is_empty())
}

/// Parses an option. Returns the default if it is not set, and also after an error is reported.
fn parse_or_default<T: FromStr>(
    flag: &str,
    option: &Option<String>,
    default: T,
    expected: &str,
    report: &mut impl FnMut(&str, String),
) -> T {
    let Some(text) = non_empty(option) else { return default };
    text.parse().unwrap_or_else(|_| {
        report(flag, format!("{text:?} is invalid; {expected}"));
        default
    })
}

/// Returns the names of a list that is separated by commas.
fn names(option: &Option<String>) -> Vec<String> {
    non_empty(option).into_iter().flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).collect()
}

/// Returns whether a text is a DNS subdomain: labels with dots between them.
fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label)
}

/// Returns whether a text is a DNS label.
fn is_dns_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len()) && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DefaultsArguments;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn config_without_arguments_has_defaults() {
        let config = Config::new(&RunArguments::default()).expect("a configuration");
        assert!(config.namespaces.is_empty());
        assert_eq!(config.lease_name.as_deref(), Some("notification-hub-operator"));
        assert_eq!(config.metrics_address.to_string(), "[::]:8080");
        assert_eq!(config.defaults.image.to_string(), DEFAULT_HUB_IMAGE);
        assert_eq!(config.log_format, LogFormat::Json);
    }

    #[test]
    fn config_empty_values_count_as_unset() {
        let empty = RunArguments {
            watch_namespaces: text(""),
            leader_election: text(""),
            lease_name: text(""),
            lease_namespace: text(""),
            metrics_address: text(""),
            defaults: DefaultsArguments {
                hub_image: text(""),
                hub_image_pull_policy: text(""),
                hub_image_pull_secrets: text(""),
                inherited_labels: text(""),
                inherited_annotations: text(""),
            },
            max_concurrent_rollouts: text(""),
            log_level: text(""),
            log_format: text(""),
        };
        let config = Config::new(&empty).expect("a configuration");
        assert!(config.namespaces.is_empty() && config.lease_namespace.is_none() && config.lease_name.is_some());
    }

    #[test]
    fn config_error_lists_every_invalid_option_with_flag_and_variable() {
        let invalid = RunArguments {
            watch_namespaces: text("good,Bad"),
            leader_election: text("perhaps"),
            lease_name: text("-"),
            lease_namespace: text("A.b"),
            metrics_address: text("8080"),
            defaults: DefaultsArguments {
                hub_image: text("a b"),
                hub_image_pull_policy: text("always"),
                hub_image_pull_secrets: text("good.name,Bad"),
                inherited_labels: text("team,*"),
                inherited_annotations: text("a b"),
            },
            max_concurrent_rollouts: text("0"),
            log_level: text("hub=nonsense"),
            log_format: text("xml"),
        };
        let errors = Config::new(&invalid).expect_err("errors").to_string();
        let expected = [
            "WATCH_NAMESPACES",
            "LEADER_ELECTION",
            "LEASE_NAME",
            "LEASE_NAMESPACE",
            "METRICS_ADDRESS",
            "HUB_IMAGE)",
            "HUB_IMAGE_PULL_POLICY",
            "HUB_IMAGE_PULL_SECRETS",
            "INHERITED_LABELS",
            "INHERITED_ANNOTATIONS",
            "MAX_CONCURRENT_ROLLOUTS",
            "LOG_LEVEL",
            "LOG_FORMAT",
        ];
        for variable in expected {
            assert!(errors.contains(&format!("NOTIFICATION_HUB_OPERATOR_{variable}")), "{variable} in:\n{errors}");
        }
        assert!(errors.contains("--metrics-address (") && errors.contains("\"Bad\""), "{errors}");
        assert_eq!(errors.lines().count(), expected.len(), "{errors}");
    }

    #[test]
    fn config_arguments_override_defaults() {
        let given = RunArguments {
            watch_namespaces: text("a, b,a"),
            leader_election: text("false"),
            metrics_address: text("127.0.0.1:0"),
            max_concurrent_rollouts: text("2"),
            log_format: text("text"),
            ..RunArguments::default()
        };
        let config = Config::new(&given).expect("a configuration");
        assert_eq!(config.namespaces, ["a", "b"]);
        assert_eq!(config.lease_name, None);
        assert_eq!(config.metrics_address.to_string(), "127.0.0.1:0");
        assert_eq!(config.max_concurrent_rollouts.get(), 2);
        assert_eq!(config.log_format, LogFormat::Text);
    }
}
