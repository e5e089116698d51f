//! Faults of the operator's process in a real Kubernetes cluster: it is killed during reconciles, or frozen until another process
//! leads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use notification_hub_properties::random::Random;
use notification_hub_tests::azurite_pod::AzuritePod;
use notification_hub_tests::deployed::generated_signer;
use notification_hub_tests::install::{self, HELM_WAIT, NAMESPACE, RELEASE};
use notification_hub_tests::ledger::LossTolerance;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::pod_process::PodProcess;
use notification_hub_tests::process::Process;
use notification_hub_tests::storage_queue::StorageQueue;
use notification_hub_tests::wait::{settled, until};
use notification_hub_tests::workload::Workload;
use notification_hub_tests::{http, redis_pod};
use rustix::process::Signal;
use serde_json::{Value, json};

const HUB: &str = "vault";

/// The kinds that the operator writes.
const KINDS: &str = "deployments,services,configmaps,secrets,serviceaccounts,horizontalpodautoscalers,\
                     poddisruptionbudgets,ingresses,networkpolicies";

/// The number of kills while a hub is created, and while its spec changes.
const KILLS: (usize, usize) = (3, 12);

/// The time of a spec edit or a process start, and a reconcile.
const RECONCILE_MS: usize = 700;

/// The time in which a rollout progresses or ends.
const ROLLOUT_MS: usize = 4000;

/// The maximum duration of a delivery while no hub fails.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The timeout of the garbage collector, which needs up to 30 seconds to discover a new kind.
const GARBAGE_COLLECTION_TIMEOUT: Duration = Duration::from_secs(120);

/// Restricts the operator to the test's namespace.
fn restrict_operator(namespace: &Namespace, options: &[&str]) -> Result<()> {
    let watch = format!("watchNamespaces=[\"{}\"]", namespace.name);
    let options = [&HELM_WAIT[..], &["--set-json", &watch], options].concat();
    install::install_release(namespace.cluster, &install::chart_path()?, &options)
}

/// Returns the operator's pods that are not terminating.
fn operator_pods(namespace: &Namespace) -> Result<Vec<Value>> {
    let label = format!("app.kubernetes.io/name={RELEASE}");
    let list = namespace.cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", &label, "-o", "json"])?;
    let mut list: Value = serde_json::from_str(&list)?;
    let mut pods: Vec<Value> = serde_json::from_value(list["items"].take())?;
    pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    Ok(pods)
}

/// Kills the operator's process, whose container then restarts.
struct Killer<'a> {
    namespace: &'a Namespace,
    random: &'a mut Random,
    operator: Value,
    last: Option<PodProcess>,
    /// The number of kills after which the status was not of the current generation.
    kills_during_reconcile: usize,
}

impl<'a> Killer<'a> {
    fn new(namespace: &'a Namespace, random: &'a mut Random) -> Result<Self> {
        let operator =
            until("one operator", CLUSTER_TIMEOUT, || match <[Value; 1]>::try_from(operator_pods(namespace)?) {
                Ok([pod]) => Ok(pod),
                Err(pods) => bail!("{} pods", pods.len()),
            })?;
        Ok(Self { namespace, random, operator, last: None, kills_during_reconcile: 0 })
    }

    /// Waits for a process that was not killed before.
    fn victim(&mut self) -> Result<PodProcess> {
        let victim = until("a new process", CLUSTER_TIMEOUT, || {
            let process = PodProcess::find(&self.operator, RELEASE)?;
            ensure!(self.last != Some(process), "it is still the old one");
            Ok(process)
        })?;
        self.last = Some(victim);
        Ok(victim)
    }

    /// Kills a process at a random time while `meanwhile` runs.
    fn kill(&mut self, victim: PodProcess, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        let within = if self.random.below(4) == 0 { ROLLOUT_MS } else { RECONCILE_MS };
        let moment = Duration::from_millis(self.random.below(within) as u64);
        std::thread::scope(|scope| {
            let killed = scope.spawn(move || {
                // The time must be random, so there is no condition to wait for.
                std::thread::sleep(moment);
                victim.signal(Signal::KILL)
            });
            meanwhile()?;
            killed.join().map_err(|_| anyhow!("the killer panicked"))?
        })?;
        let hub = self.namespace.get("notificationhub", HUB)?;
        self.kills_during_reconcile +=
            usize::from(hub["status"]["observedGeneration"] != hub["metadata"]["generation"]);
        Ok(())
    }
}

/// The wanted spec.
#[derive(Clone, Debug)]
struct Wanted {
    pods: usize,
    autoscaled: bool,
    queue: bool,
    guarded: bool,
    exposed: bool,
    round: usize,
}

impl Wanted {
    /// Changes one random part of the spec.
    fn change(&mut self, random: &mut Random) {
        match random.below(6) {
            0 => self.pods = 3 - self.pods,
            1 => self.autoscaled = !self.autoscaled,
            2 => self.queue = !self.queue,
            3 => self.guarded = !self.guarded,
            4 => self.exposed = !self.exposed,
            _ => self.round += 1,
        }
    }

    fn hub(&self) -> Value {
        let secret = |name: &str, key: &str| json!({"secretKeyRef": {"name": name, "key": key}});
        let source = match self.queue {
            true => json!({"azureQueue": {"connectionString": secret("storage", "connectionString")}}),
            false => json!({"direct": {}}),
        };
        let redis = json!({"url": secret("redis", "url"), "username": "hub", "password": secret("redis", "password")});
        let mut spec = json!({
            "source": source, "auth": {"generate": {}}, "drain": {"duration": "1s"}, "backplane": {"redis": redis},
            "networkPolicy": {"enabled": self.guarded},
            "podTemplate": {"metadata": {"annotations": {"example.com/round": self.round.to_string()}}},
        });
        match self.autoscaled {
            true => spec["autoscaling"] = json!({"minReplicas": self.pods, "maxReplicas": self.pods}),
            false => spec["replicas"] = json!(self.pods),
        }
        if self.exposed {
            spec["expose"] = json!({"ingress": {"host": "vault.example.com"}});
        }
        json!({
            "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB},
            "spec": spec,
        })
    }
}

/// Objects by kind and name, without fields that differ in each run: UIDs, addresses and keys.
type Objects = BTreeMap<String, Value>;

fn objects(namespace: &Namespace) -> Result<Objects> {
    let list: Value = serde_json::from_str(&namespace.kubectl(&["get", KINDS, "-o", "json"])?)?;
    let mut objects = Objects::new();
    for object in list["items"].as_array().context("no list")? {
        let mut content = object.clone();
        let metadata = &object["metadata"];
        let name = format!("{} {}", object["kind"], metadata["name"]);
        let mut owners = metadata["ownerReferences"].clone();
        owners.as_array_mut().into_iter().flatten().for_each(|owner| owner["uid"] = Value::Null);
        let mut annotations = metadata["annotations"].clone();
        if let Some(revision) = annotations.get_mut("deployment.kubernetes.io/revision") {
            *revision = Value::Null;
        }
        content["metadata"] = json!({"labels": metadata["labels"], "annotations": annotations, "owners": owners});
        content["status"] = Value::Null;
        if object["kind"] == "Deployment" {
            // A digest that depends on a key.
            content["spec"]["template"]["metadata"]["annotations"]["notificationhub.rs/config-checksum"] = Value::Null;
        }
        if object["kind"] == "Service" {
            content["spec"]["clusterIP"] = Value::Null;
            content["spec"]["clusterIPs"] = Value::Null;
        }
        if object["kind"] == "Secret" {
            content["data"] = object["data"].as_object().into_iter().flat_map(|data| data.keys()).cloned().collect();
        }
        objects.insert(name, content);
    }
    Ok(objects)
}

/// Waits until a hub has exactly `wanted` pods, all of one ReplicaSet, and no terminating pod.
fn wait_replaced(namespace: &Namespace, wanted: usize) -> Result<()> {
    namespace.wait_condition(HUB, "Ready", "True", "Available")?;
    until("one ReplicaSet with the pods that are wanted", CLUSTER_TIMEOUT, || {
        let pods = namespace.children("pods", HUB)?;
        ensure!(pods.len() == wanted, "{} pods instead of {wanted}", pods.len());
        let owners: BTreeSet<_> = pods.iter().map(|pod| pod["metadata"]["ownerReferences"].to_string()).collect();
        ensure!(owners.len() == 1, "they belong to {owners:?}");
        let mut sets = namespace.children("replicasets", HUB)?;
        sets.retain(|set| set["spec"]["replicas"] != 0 || set["status"]["replicas"] != 0);
        ensure!(sets.len() == 1, "{} ReplicaSets", sets.len());
        let going = &namespace.get("deployment", HUB)?["status"]["terminatingReplicas"];
        ensure!(going.as_i64().is_none_or(|going| going == 0), "{going} pods are still terminating");
        Ok(())
    })
}

/// Waits until the hub and its children do not change any more, and returns them.
fn wait_stable(namespace: &Namespace, wanted: &Wanted, others: &BTreeSet<String>) -> Result<Objects> {
    wait_replaced(namespace, wanted.pods)?;
    settled("all of it", CLUSTER_TIMEOUT, || {
        let mut objects = objects(namespace)?;
        objects.retain(|name, _| !others.contains(name));
        let hub = namespace.get("notificationhub", HUB)?;
        let (generation, mut status) = (&hub["metadata"]["generation"], hub["status"].clone());
        ensure!(status["observedGeneration"] == *generation, "the status is about {}", status["observedGeneration"]);
        for condition in status["conditions"].as_array_mut().context("no conditions")? {
            ensure!(condition["observedGeneration"] == *generation, "of another generation: {condition}");
            condition["observedGeneration"] = Value::Null;
            condition["lastTransitionTime"] = Value::Null;
        }
        for field in ["observedGeneration", "keys", "connections"] {
            status[field] = Value::Null;
        }
        objects.insert("the status".to_owned(), status);
        Ok(objects)
    })
}

fn ensure_same(one: &Objects, other: &Objects) -> Result<()> {
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    let text = |objects: &Objects, name: &str| objects.get(name).map_or("none".to_owned(), Value::to_string);
    let differences = differ.map(|name| format!("{name}\n{}\n{}", text(one, name), text(other, name)));
    let differences: Vec<_> = differences.collect();
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// Returns the data of the Secrets that the operator generates.
fn keys(namespace: &Namespace) -> Result<[Value; 2]> {
    let data = |name: &str| Ok::<_, anyhow::Error>(namespace.get("secret", name)?["data"].clone());
    Ok([data("vault-jwt")?, data("vault-tokens")?])
}

/// The seed of all random choices is printed. `SEED` repeats a run, as far as timing can be repeated.
#[test]
fn operator_killed_at_random_reaches_the_undisturbed_state() {
    namespace::with_exclusive_release("killed", |namespace| {
        let seed = match std::env::var("SEED") {
            Ok(seed) => seed.parse().context("SEED is no number")?,
            Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
        };
        println!("SEED={seed}");
        let mut random = Random::new(seed);
        // Without leader election the next process starts immediately.
        restrict_operator(namespace, &["--set", "leaderElection.enabled=false"])?;
        redis_pod::start(namespace)?;
        let azurite = AzuritePod::start(namespace)?;
        until("the queue", CLUSTER_TIMEOUT, || azurite.with_queue(namespace, StorageQueue::create))?;
        namespace.set_secret("storage", "connectionString", azurite.connection_string())?;
        let others: BTreeSet<_> = objects(namespace)?.into_keys().collect();

        let mut killer = Killer::new(namespace, &mut random)?;
        let mut wanted = Wanted { pods: 1, autoscaled: false, queue: false, guarded: false, exposed: false, round: 0 };
        namespace.apply(&wanted.hub())?;
        let mut first_keys = None;
        for _ in 0..KILLS.0 {
            let victim = killer.victim()?;
            killer.kill(victim, || Ok(()))?;
            first_keys = first_keys.or(keys(namespace).ok());
        }
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        let first_keys = first_keys.map_or_else(|| keys(namespace), Ok)?;

        let (public, internal) = (namespace.endpoint(HUB, 5000)?, namespace.endpoint("vault-internal", 5001)?);
        let senders = Arc::new(Mutex::new(vec![internal.address]));
        let signer = generated_signer(namespace, HUB)?;
        let workload =
            namespace.cluster.run_inside(|| Workload::start(&signer, public.address, senders.clone(), 20, 100))?;
        let find_senders = || {
            let found = namespace.cluster.endpoint(&namespace.name, "vault-internal", 5001);
            *senders.lock().unwrap_or_else(PoisonError::into_inner) = found.iter().map(|it| it.address).collect();
        };
        for _ in 0..KILLS.1 {
            (0..=killer.random.below(2)).for_each(|_| wanted.change(killer.random));
            println!("{wanted:?}");
            // The operator is idle, starting or killed when the spec changes.
            let change = || namespace.apply(&wanted.hub());
            match killer.random.below(3) {
                0 => {
                    namespace.wait_condition(HUB, "Ready", "True", "Available")?;
                    let victim = killer.victim()?;
                    killer.kill(victim, change)?;
                }
                1 => {
                    let victim = killer.victim()?;
                    killer.kill(victim, change)?;
                }
                _ => {
                    change()?;
                    let victim = killer.victim()?;
                    killer.kill(victim, || Ok(()))?;
                }
            }
            find_senders();
        }
        println!("killed {} times before a spec was carried out", killer.kills_during_reconcile);
        ensure!(killer.kills_during_reconcile > 0, "no kill was during a reconcile");

        let killed = wait_stable(namespace, &wanted, &others)?;
        ensure!(keys(namespace)? == first_keys, "keys were generated again");
        namespace.apply(&Wanted { queue: false, ..wanted.clone() }.hub())?;
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        find_senders();
        let before = workload.received();
        until("clients receive pushes", CLUSTER_TIMEOUT, || {
            ensure!(workload.received() > before + 100, "{} since then", workload.received() - before);
            Ok(())
        })?;
        workload.finish(MAX_DELAY, LossTolerance::None)?;

        namespace.kubectl(&["delete", "notificationhub", HUB])?;
        until("everything is gone", GARBAGE_COLLECTION_TIMEOUT, || {
            let left: Vec<_> = objects(namespace)?.into_keys().filter(|name| !others.contains(name)).collect();
            ensure!(left.is_empty(), "left: {left:?}");
            Ok(())
        })?;
        namespace.apply(&wanted.hub())?;
        ensure_same(&killed, &wait_stable(namespace, &wanted, &others)?)?;
        install::install_release(namespace.cluster, &install::chart_path()?, &HELM_WAIT)
    });
}

/// Returns the identity of the leader.
fn leader(namespace: &Namespace) -> Result<String> {
    let holder = ["get", "lease", "-n", NAMESPACE, RELEASE, "-o", "jsonpath={.spec.holderIdentity}"];
    let holder = namespace.cluster.kubectl(&holder)?;
    ensure!(!holder.is_empty(), "no leader");
    Ok(holder)
}

/// Returns the pod of a process.
fn pod_of(namespace: &Namespace, process: &str) -> Result<Value> {
    let is_it = |pod: &Value| pod["metadata"]["name"].as_str().is_some_and(|name| process.starts_with(name));
    operator_pods(namespace)?.into_iter().find(is_it).with_context(|| format!("{process} is in no pod"))
}

/// Returns all objects that the operator writes, with their managed fields.
fn written(namespace: &Namespace) -> Result<Objects> {
    let kinds = format!("{KINDS},notificationhubs,events.events.k8s.io");
    let list = namespace.kubectl(&["get", &kinds, "-o", "json", "--show-managed-fields"])?;
    let mut list: Value = serde_json::from_str(&list)?;
    let mut objects: Vec<Value> = serde_json::from_value(list["items"].take())?;
    objects.retain(|object| object["kind"] != "Event" || object["reportingController"] == RELEASE);
    Ok(objects.into_iter().map(|it| (format!("{} {}", it["kind"], it["metadata"]["name"]), it)).collect())
}

/// Removes what a write and its reversal change: versions and times.
fn without_versions(mut objects: Objects) -> Result<Objects> {
    for object in objects.values_mut() {
        let metadata = object["metadata"].as_object_mut().context("no metadata")?;
        metadata.remove("resourceVersion");
        for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten() {
            entry.as_object_mut().context("no entry")?.remove("time");
        }
    }
    Ok(objects)
}

/// Freezes the operator after it wrote the first child of a hub, and before it writes a later one. Fails if it was too fast.
fn freeze_at_work(namespace: &Namespace, operator: PodProcess) -> Result<()> {
    let mut watch = namespace.cluster.command("kubectl");
    watch.args(["get", "serviceaccounts", "-n", &namespace.name, "--watch", "--output-watch-events"]);
    let watch = Process::start(&watch)?;
    let seen = |times: usize| {
        let mut added = 0;
        watch.line("ServiceAccount", CLUSTER_TIMEOUT, |line| {
            added += usize::from(line.starts_with("ADDED") && line.contains(HUB));
            (added == times).then_some(())
        })
    };
    seen(1)?;
    namespace.kubectl(&["delete", "--wait=false", "serviceaccount/vault", "service/vault"])?;
    seen(2)?;
    operator.signal(Signal::STOP)?;
    if namespace.get("service", HUB).is_ok() {
        operator.signal(Signal::CONT)?;
        bail!("the operator was faster");
    }
    Ok(())
}

#[test]
fn frozen_leader_resumed_after_failover_changes_nothing() {
    namespace::with_exclusive_release("frozen", |namespace| {
        restrict_operator(namespace, &["--set", "replicas=2"])?;
        let mut hub = json!({
            "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB},
            "spec": {"replicas": 1, "source": {"direct": {}}, "auth": {"generate": {}}},
        });
        namespace.apply(&hub)?;
        namespace.wait_ready(HUB)?;
        let (first, frozen) = until("one of the two leads", CLUSTER_TIMEOUT, || {
            let leader = leader(namespace)?;
            let pod = pod_of(namespace, &leader)?;
            Ok((leader, pod))
        })?;
        let process = PodProcess::find(&frozen, RELEASE)?;

        // The kubelet kills a frozen container after some time, so the following steps must be fast.
        until("the operator is frozen during a reconcile", CLUSTER_TIMEOUT, || freeze_at_work(namespace, process))?;
        let second = until("another leader", CLUSTER_TIMEOUT, || {
            let leader = leader(namespace)?;
            ensure!(leader != first, "it is still {leader}");
            Ok(leader)
        })?;
        until("the new leader repairs the Service", CLUSTER_TIMEOUT, || namespace.get("service", HUB))?;
        // The pending write of the frozen leader is now outdated.
        hub["spec"]["service"] = json!({"annotations": {"example.com/round": "1"}});
        hub["spec"]["networkPolicy"] = json!({"enabled": true});
        namespace.apply(&hub)?;
        wait_replaced(namespace, 1)?;
        let before = settled("all of it", CLUSTER_TIMEOUT, || written(namespace))?;
        ensure!(before.keys().any(|name| name.contains("Event")), "there are no Events: {:?}", before.keys());

        process.signal(Signal::CONT)?;
        let restarted = until("the frozen process has ended and its container restarted", CLUSTER_TIMEOUT, || {
            let pod = namespace.cluster.kubectl(&["get", "pod", "-n", NAMESPACE, &name(&frozen)?, "-o", "json"])?;
            let pod: Value = serde_json::from_str(&pod)?;
            let status = &pod["status"]["containerStatuses"][0];
            ensure!(status["restartCount"] == 1 && status["ready"] == true, "it is {status}");
            Ok(pod)
        })?;
        let ended = &restarted["status"]["containerStatuses"][0]["lastState"]["terminated"];
        ensure!(ended["exitCode"] == 1, "it ended with {ended}");
        let said = namespace.cluster.kubectl(&["logs", "-n", NAMESPACE, &name(&frozen)?, "--previous"])?;
        ensure!(said.contains("lease lost: it was not renewed in time"), "it said: {said}");

        let address = namespace.cluster.pod_endpoint(&restarted, 8080)?.address;
        let metrics = namespace.cluster.run_inside(|| http::get(address, "/metrics"))?.text();
        ensure!(metrics.lines().any(|line| line == "notification_hub_operator_leader 0"), "it leads: {metrics}");
        // If the process was frozen between its check of the lease and the write to the socket, that write is still sent. The
        // new leader reverts it.
        let after = settled("all of it", CLUSTER_TIMEOUT, || written(namespace))?;
        ensure_same(&without_versions(before)?, &without_versions(after)?)?;
        ensure!(leader(namespace)? == second, "another one leads");

        install::install_release(namespace.cluster, &install::chart_path()?, &HELM_WAIT)
    });
}

fn name(object: &Value) -> Result<String> {
    Ok(object["metadata"]["name"].as_str().context("no name")?.to_owned())
}
