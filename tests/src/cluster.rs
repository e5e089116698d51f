//! The Kubernetes cluster of a test run: the one in the folder `CLUSTER_STATE`, the current context of kubectl
//! (`CLUSTER=current`), or a new one that ends with the process.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::process::Process;
use crate::programs;

/// The timeout of the start of `kubectl port-forward`.
const PORT_FORWARD_TIMEOUT: Duration = Duration::from_secs(20);

/// A Kubernetes cluster.
pub struct Cluster {
    /// The folder of a cluster in namespaces of this machine, or `None` for the current context.
    state: Option<PathBuf>,
}

/// A reachable port of a Service or a pod.
pub struct Endpoint {
    /// The address for [`Cluster::run_inside`].
    pub address: SocketAddr,
    /// The URL for programs that [`Cluster::command`] starts.
    pub url: String,
    /// The `kubectl port-forward` behind the address, with the current context.
    _forward: Option<Process>,
}

impl Cluster {
    /// Returns the cluster of this process. Without one, prints the reason once and returns `None`, or panics if `CI=true`.
    pub fn for_this_run() -> Option<&'static Cluster> {
        static FOUND: OnceLock<Result<Cluster, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let found = Cluster::find().map_err(|error| format!("{error:#}"));
            if let Err(reason) = &found {
                // Directly to stderr, because libtest captures the output of passing tests.
                let _ = writeln!(std::io::stderr(), "cluster tests skipped: {reason}");
            }
            found
        });
        match found {
            Ok(cluster) => Some(cluster),
            Err(reason) if std::env::var_os("CI").is_some_and(|value| value == "true") => {
                panic!("no cluster: {reason}")
            }
            Err(_) => None,
        }
    }

    fn find() -> Result<Cluster> {
        match std::env::var("CLUSTER").as_deref() {
            Ok("current") => return Ok(Cluster { state: None }),
            Ok(other) if !other.is_empty() => bail!("CLUSTER={other}: unknown value; use `current`"),
            _ => {}
        }
        if let Some(state) = std::env::var_os("CLUSTER_STATE") {
            return Ok(Cluster { state: Some(state.into()) });
        }
        let id = std::process::id();
        let cluster = Cluster { state: Some(format!("/var/tmp/nhub-cluster-{id}").into()) };
        if !rustix::process::geteuid().is_root() {
            bail!("a cluster needs root; set CLUSTER=current to use kubectl's context");
        }
        let images = images()?;
        run(cluster.tool("up").env("CLUSTER_OWNER", id.to_string()))?;
        run(cluster.tool("load").args(images))?;
        Ok(cluster)
    }

    /// Returns whether this is the current context of kubectl.
    pub fn is_current_context(&self) -> bool {
        self.state.is_none()
    }

    /// Returns a command that runs in the cluster's network, with kubectl and helm in its PATH.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.state {
            None => Command::new(program),
            Some(_) => {
                let mut command = self.tool("exec");
                command.arg(program);
                command
            }
        }
    }

    /// Runs kubectl and returns its output.
    pub fn kubectl<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        run(self.command("kubectl").args(arguments.iter().map(AsRef::as_ref)))
    }

    /// Runs kubectl with a text on its standard input, and returns its output.
    pub fn kubectl_with<S: AsRef<str>>(&self, arguments: &[S], input: &str) -> Result<String> {
        let mut command = self.command("kubectl");
        run_with(command.args(arguments.iter().map(AsRef::as_ref)), input)
    }

    /// Runs helm and returns its output.
    pub fn helm<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        run(self.command("helm").args(arguments.iter().map(AsRef::as_ref)))
    }

    /// Runs a function that opens connections in the cluster's network, on a thread of its own.
    pub fn run_inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let Some(state) = &self.state else { return work() };
        let first = std::fs::read_to_string(state.join("init")).context("the cluster does not run")?;
        let network = File::open(format!("/proc/{}/ns/net", first.trim())).context("the cluster has ended")?;
        // A network namespace belongs to a thread. This thread enters it and does not leave.
        let thread = || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), Some(LinkNameSpaceType::Network))?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(thread).join())
            .map_err(|_| anyhow!("the thread in the cluster's network panicked"))?
    }

    /// Returns the endpoint of a Service: its cluster IP, or with the current context a forwarded port.
    pub fn endpoint(&self, namespace: &str, service: &str, port: u16) -> Result<Endpoint> {
        if self.is_current_context() {
            return self.forward(namespace, &format!("service/{service}"), port);
        }
        let text = self.kubectl(&["get", "service", service, "-n", namespace, "-o", "json"])?;
        let service_: Value = serde_json::from_str(&text)?;
        let ip = service_["spec"]["clusterIP"].as_str().unwrap_or_default();
        let ip: IpAddr = ip.parse().with_context(|| format!("{service} has no cluster IP: {ip:?}"))?;
        let url = format!("http://{service}.{namespace}.svc:{port}");
        Ok(Endpoint { address: (ip, port).into(), url, _forward: None })
    }

    /// Returns the endpoint of a pod, without a Service.
    pub fn pod_endpoint(&self, pod: &Value, port: u16) -> Result<Endpoint> {
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str).with_context(|| format!("no {path}: {pod}"));
        if self.is_current_context() {
            let name = text("/metadata/name")?;
            return self.forward(text("/metadata/namespace")?, &format!("pod/{name}"), port);
        }
        let address: SocketAddr = (text("/status/podIP")?.parse::<IpAddr>()?, port).into();
        Ok(Endpoint { address, url: format!("http://{address}"), _forward: None })
    }

    /// Returns the internal IP address of the first node.
    pub fn node(&self) -> Result<IpAddr> {
        let address = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
        self.kubectl(&["get", "nodes", "-o", address])?.parse().context("the node has no address")
    }

    fn forward(&self, namespace: &str, object: &str, port: u16) -> Result<Endpoint> {
        let mut command = self.command("kubectl");
        command.args(["port-forward", "-n", namespace, object, &format!(":{port}")]);
        let process = Process::start(&command)?;
        let address: SocketAddr = process.line("forwarded port", PORT_FORWARD_TIMEOUT, |line| {
            line.strip_prefix("Forwarding from ")?.split(' ').next()?.parse().ok()
        })?;
        Ok(Endpoint { address, url: format!("http://{address}"), _forward: Some(process) })
    }

    fn tool(&self, verb: &str) -> Command {
        let mut command = Command::new(folder().join("cluster/cluster.sh"));
        command.arg(verb);
        if let Some(state) = &self.state {
            command.env("CLUSTER_STATE", state);
        }
        command
    }
}

/// Returns the folder of this crate.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn images() -> Result<[PathBuf; 4]> {
    let hub = programs::find("notification-hub")?;
    let folder = hub.ancestors().nth(2).context("no target folder")?.join("images");
    let images = ["hub.tar", "operator.tar", "azurite.tar", "redis.tar"].map(|name| folder.join(name));
    match images.iter().find(|image| !image.exists()) {
        Some(missing) => {
            bail!("{} is missing: run `make images azurite redis` first, or `make test-cluster`", missing.display())
        }
        None => Ok(images),
    }
}

/// Runs a command to its end and returns its standard output. A failure has its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    run_with(command, "")
}

/// Runs a command with a text on its standard input.
pub fn run_with(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input fails with its own message.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("{}: {}: {}", arguments.join(" "), output.status, stderr.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
