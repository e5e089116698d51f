//! The command line. Option values stay texts here, because `config` reports all invalid ones at once. No I/O.

use clap::{Args, Parser, Subcommand};

/// Run notification hubs on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "notification-hub-operator", disable_version_flag = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reconcile NotificationHub resources.
    Run(RunArguments),
    /// Check that the API server grants every permission that `run` needs with the same options. Exit with status 1 if a
    /// permission is missing.
    CheckPermissions(RunArguments),
    /// Print the changes that applying the NotificationHubs in a file would make. Writes nothing, because every request
    /// is a dry run. Exit with status 0 if no object would change, 1 if objects would change, 2 if the changes are unknown or
    /// blocked.
    Diff(DiffArguments),
    /// Print the CustomResourceDefinition.
    Crd,
    /// Print the version.
    Version,
}

/// Options of `diff`.
#[derive(Args, Clone, Debug)]
pub struct DiffArguments {
    /// YAML file with one or more documents, or `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: String,

    /// Namespace of resources without metadata.namespace [default: that of the ServiceAccount or the kubeconfig].
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Defaults of every hub, as the operator has them.
    #[command(flatten)]
    pub defaults: DefaultsArguments,
}

/// Options of `run` as texts. An empty text counts as not set.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArguments {
    /// Namespaces to watch, separated by commas [default: all namespaces].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_WATCH_NAMESPACES", value_name = "A,B")]
    pub watch_namespaces: Option<String>,

    /// Elect a leader with a Lease before writing. Required with more than one replica [default: true].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LEADER_ELECTION", value_name = "true|false")]
    pub leader_election: Option<String>,

    /// Name of the Lease [default: notification-hub-operator].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LEASE_NAME", value_name = "NAME")]
    pub lease_name: Option<String>,

    /// Namespace of the Lease [default: that of the ServiceAccount or the kubeconfig].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// Address of /livez, /readyz and /metrics [default: [::]:8080].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_METRICS_ADDRESS", value_name = "HOST:PORT")]
    pub metrics_address: Option<String>,

    /// Defaults of every hub.
    #[command(flatten)]
    pub defaults: DefaultsArguments,

    /// Maximum number of hubs that roll out at once without a change of their specs, such as for a new default image
    /// [default: 5].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_MAX_CONCURRENT_ROLLOUTS", value_name = "NUMBER")]
    pub max_concurrent_rollouts: Option<String>,

    /// Log level: error, warn, info, debug or trace, or directives of tracing's EnvFilter [default: info].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Log format: json or text [default: json].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

/// Options for the defaults of every hub, as texts.
#[derive(Args, Clone, Debug, Default)]
pub struct DefaultsArguments {
    /// Image of hubs without spec.image [default: the image of the operator's version].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_HUB_IMAGE", value_name = "IMAGE")]
    pub hub_image: Option<String>,

    /// Pull policy of hubs without spec.image.pullPolicy: Always, IfNotPresent or Never [default: the choice of Kubernetes].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_HUB_IMAGE_PULL_POLICY", value_name = "POLICY")]
    pub hub_image_pull_policy: Option<String>,

    /// Pull secrets of hubs without spec.image.pullSecrets, separated by commas. They must be in the namespace of each hub
    /// [default: none].
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_HUB_IMAGE_PULL_SECRETS", value_name = "A,B")]
    pub hub_image_pull_secrets: Option<String>,

    /// Labels that children and pods inherit from their NotificationHub: names, or prefixes with a trailing `*`,
    /// separated by commas.
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_INHERITED_LABELS", value_name = "A,B*")]
    pub inherited_labels: Option<String>,

    /// Annotations that children and pods inherit from their NotificationHub, in the same format.
    #[arg(long, env = "NOTIFICATION_HUB_OPERATOR_INHERITED_ANNOTATIONS", value_name = "A,B*")]
    pub inherited_annotations: Option<String>,
}
