//! The cluster of a test run: the one that `CLUSTER_STATE` names, the current context of kubectl (`CLUSTER=current`), or
//! one of its own, which ends with the process.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::process::Process;
use crate::programs;

/// How long `kubectl port-forward` may take.
const FORWARD: Duration = Duration::from_secs(20);

/// A Kubernetes to test in.
pub struct Cluster {
    /// The folder of a cluster in namespaces of this machine; none for the current context.
    state: Option<PathBuf>,
}

/// A port of a Service, as it can be reached.
pub struct Reach {
    /// From wherever [`Cluster::inside`] is.
    pub address: SocketAddr,
    /// For the programs that [`Cluster::command`] starts.
    pub url: String,
    /// What carries it, where the Service's own address leads nowhere.
    _forward: Option<Process>,
}

impl Cluster {
    /// The cluster of this process. None after one line that says why there is none; with `CI=true` that is a failure.
    pub fn of_this_run() -> Option<&'static Cluster> {
        static FOUND: OnceLock<Result<Cluster, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| {
            let found = Cluster::find().map_err(|error| format!("{error:#}"));
            if let Err(why) = &found {
                // Past libtest, which keeps to itself what a test that passes prints.
                let _ = writeln!(std::io::stderr(), "cluster tests skipped: {why}");
            }
            found
        });
        match found {
            Ok(cluster) => Some(cluster),
            Err(why) if std::env::var_os("CI").is_some_and(|value| value == "true") => panic!("no cluster: {why}"),
            Err(_) => None,
        }
    }

    fn find() -> Result<Cluster> {
        match std::env::var("CLUSTER").as_deref() {
            Ok("current") => return Ok(Cluster { state: None }),
            Ok(other) if !other.is_empty() => bail!("CLUSTER={other}: only `current` is known"),
            _ => {}
        }
        if let Some(state) = std::env::var_os("CLUSTER_STATE") {
            return Ok(Cluster { state: Some(state.into()) });
        }
        let id = std::process::id();
        let cluster = Cluster { state: Some(format!("/var/tmp/nhub-cluster-{id}").into()) };
        if !rustix::process::geteuid().is_root() {
            bail!("it needs root, or CLUSTER=current");
        }
        let images = images()?;
        run(cluster.tool("up").env("CLUSTER_OWNER", id.to_string()))?;
        run(cluster.tool("load").args(images))?;
        Ok(cluster)
    }

    /// Whether this is the current context of kubectl.
    pub fn is_current_context(&self) -> bool {
        self.state.is_none()
    }

    /// A command that runs where the cluster can be reached, with kubectl and helm at hand.
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

    /// Runs kubectl and gives back what it printed.
    pub fn kubectl<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        run(self.command("kubectl").args(arguments.iter().map(AsRef::as_ref)))
    }

    /// Runs kubectl with text on its standard input.
    pub fn kubectl_with<S: AsRef<str>>(&self, arguments: &[S], input: &str) -> Result<String> {
        let mut command = self.command("kubectl");
        run_with(command.args(arguments.iter().map(AsRef::as_ref)), input)
    }

    /// Runs helm and gives back what it printed.
    pub fn helm<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        run(self.command("helm").args(arguments.iter().map(AsRef::as_ref)))
    }

    /// Runs something that opens connections where the cluster's addresses lead somewhere.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let Some(state) = &self.state else { return work() };
        let first = std::fs::read_to_string(state.join("init")).context("the cluster is not up")?;
        let network = File::open(format!("/proc/{}/ns/net", first.trim())).context("the cluster has ended")?;
        // A network namespace is a thread's own affair: this one goes in and never comes back.
        let thread = || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), Some(LinkNameSpaceType::Network))?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(thread).join()).map_err(|_| anyhow!("a thread inside panicked"))?
    }

    /// The way to a port of a Service: the Service itself, or in the current context what kubectl forwards.
    pub fn reach(&self, namespace: &str, service: &str, port: u16) -> Result<Reach> {
        if self.is_current_context() {
            return self.forward(namespace, &format!("service/{service}"), port);
        }
        let text = self.kubectl(&["get", "service", service, "-n", namespace, "-o", "json"])?;
        let service_: Value = serde_json::from_str(&text)?;
        let ip = service_["spec"]["clusterIP"].as_str().unwrap_or_default();
        let ip: Ipv4Addr = ip.parse().with_context(|| format!("{service} has no address of its own: {ip:?}"))?;
        let url = format!("http://{service}.{namespace}.svc:{port}");
        Ok(Reach { address: (ip, port).into(), url, _forward: None })
    }

    /// The way to a port of a pod, past its Services.
    pub fn reach_pod(&self, pod: &Value, port: u16) -> Result<Reach> {
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str).with_context(|| format!("no {path}: {pod}"));
        if self.is_current_context() {
            let name = text("/metadata/name")?;
            return self.forward(text("/metadata/namespace")?, &format!("pod/{name}"), port);
        }
        let address: SocketAddr = (text("/status/podIP")?.parse::<Ipv4Addr>()?, port).into();
        Ok(Reach { address, url: format!("http://{address}"), _forward: None })
    }

    /// The address of the first node within the cluster.
    pub fn node(&self) -> Result<Ipv4Addr> {
        let address = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
        self.kubectl(&["get", "nodes", "-o", address])?.parse().context("the node has no address")
    }

    fn forward(&self, namespace: &str, object: &str, port: u16) -> Result<Reach> {
        let mut command = self.command("kubectl");
        command.args(["port-forward", "-n", namespace, object, &format!(":{port}")]);
        let process = Process::start(&command)?;
        let address: SocketAddr = process.line("forwarded port", FORWARD, |line| {
            line.strip_prefix("Forwarding from ")?.split(' ').next()?.parse().ok()
        })?;
        Ok(Reach { address, url: format!("http://{address}"), _forward: Some(process) })
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

/// The folder of the tests.
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

/// Runs a command to its end and gives back its standard output; an error has what it said on stderr.
pub fn run(command: &mut Command) -> Result<String> {
    run_with(command, "")
}

/// The same, with text on its standard input.
pub fn run_with(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input says why not.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("{}: {}: {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
