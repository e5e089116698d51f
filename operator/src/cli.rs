//! The command line. Values stay texts here: `config` judges all of them at once.

use clap::{Args, Parser, Subcommand};

/// Runs notification hubs on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "notification-hub-operator", disable_version_flag = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn NotificationHub resources into running hubs.
    Run(RunArguments),
    /// Ask the API server whether all is permitted that the operator does; the options are those of `run`. Exit status 1
    /// if something is not.
    CheckPermissions(RunArguments),
    /// Print what NotificationHubs in a file would change, by dry runs. Exit status 0 if nothing would, 1 if something
    /// would, 2 if it can't be told or something is in the way.
    Diff(DiffArguments),
    /// Print the CustomResourceDefinition.
    Crd,
    /// Print the version.
    Version,
}

/// The options of `diff`.
#[derive(Args, Clone, Debug)]
pub struct DiffArguments {
    /// A file of YAML, with one or more documents; `-` is the standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: String,

    /// Namespace of resources that do not name one [default: that of the ServiceAccount or the kubeconfig].
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// As the operator has them.
    #[command(flatten)]
    pub defaults: DefaultsArguments,
}

/// The options of `run`, as they were written. An empty one counts as not given.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArguments {
    /// Namespaces to watch, separated by commas; none means all of them.
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_NAMESPACES", value_name = "A,B")]
    pub namespaces: Option<String>,

    /// Whether to take a Lease before writing anything; needed with more than one replica [default: true].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LEADER_ELECTION", value_name = "true|false")]
    pub leader_election: Option<String>,

    /// Name of the Lease [default: notification-hub-operator].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LEASE_NAME", value_name = "NAME")]
    pub lease_name: Option<String>,

    /// Namespace of the Lease: the operator's own [default: that of the ServiceAccount or the kubeconfig].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// Where /livez, /readyz and /metrics are served [default: 0.0.0.0:8080].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_METRICS_ADDRESS", value_name = "HOST:PORT")]
    pub metrics_address: Option<String>,

    /// What is said of every hub.
    #[command(flatten)]
    pub defaults: DefaultsArguments,

    /// The number of hubs that are rolled out at once for a reason that is not in their specs, such as a new default image
    /// [default: 5].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_MAX_CONCURRENT_ROLLOUTS", value_name = "NUMBER")]
    pub max_concurrent_rollouts: Option<String>,

    /// What is logged: error, warn, info, debug, trace, or directives of tracing's EnvFilter [default: info].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// How it is logged: json or text [default: json].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// What the operator's configuration says of every hub, as it was written.
#[derive(Args, Clone, Debug, Default)]
pub struct DefaultsArguments {
    /// Image of hubs that do not name one [default: the operator's own version].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_HUB_IMAGE", value_name = "IMAGE")]
    pub hub_image: Option<String>,

    /// Labels of a NotificationHub that its objects and pods get, too: names, or beginnings of names with a `*` behind,
    /// separated by commas.
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_INHERITED_LABELS", value_name = "A,B*")]
    pub inherited_labels: Option<String>,

    /// The same for annotations.
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_INHERITED_ANNOTATIONS", value_name = "A,B*")]
    pub inherited_annotations: Option<String>,
}
