//! A replacement of Prometheus' discovery of pods and endpoints (`kubernetes_sd_configs`), which Debian's build lacks. It has the
//! labels that the Prometheus operator uses.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::cluster::Cluster;

/// Labels of a target before relabeling.
type Labels = Map<String, Value>;

/// The objects of a namespace.
struct Objects(Vec<Value>);

/// Replaces the discovery of every scrape configuration by its present targets.
pub fn resolve(cluster: &Cluster, settings: &mut Value) -> Result<()> {
    for job in settings["scrape_configs"].as_array_mut().into_iter().flatten() {
        let job = job.as_object_mut().context("no object")?;
        let discovery = job.remove("kubernetes_sd_configs").context("no kubernetes_sd_configs")?;
        let mut targets = Vec::new();
        for discovery in discovery.as_array().context("no list")? {
            let namespace = discovery["namespaces"]["names"][0].as_str().context("no namespace")?;
            let objects = Objects::list(cluster, namespace)?;
            targets.extend(match discovery["role"].as_str() {
                Some("pod") => objects.pod_targets()?,
                Some("endpoints") => objects.endpoint_targets()?,
                _ => bail!("unknown discovery {discovery}"),
            });
        }
        job.insert("static_configs".to_owned(), targets.into());
    }
    Ok(())
}

impl Objects {
    fn list(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let text = cluster.kubectl(&["get", "pods,services,endpoints", "-n", namespace, "-o", "json"])?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(Self(list["items"].as_array().context("no list")?.clone()))
    }

    fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    fn find(&self, kind: &str, name: &Value) -> Option<&Value> {
        self.all(kind).find(|object| object["metadata"]["name"] == *name)
    }

    /// Returns a target for each port of each container.
    fn pod_targets(&self) -> Result<Vec<Value>> {
        let mut targets = Vec::new();
        for pod in self.all("Pod").filter(|pod| pod["status"]["podIP"].is_string()) {
            for (container, port) in container_ports(pod) {
                let mut labels = of_object("pod", pod);
                labels.extend(of_container(pod, container, port));
                targets.push(target(&pod["status"]["podIP"], &port["containerPort"], &labels)?);
            }
        }
        Ok(targets)
    }

    /// Returns a target for each address and port of each Endpoints object, with the labels of its Service and its pod.
    fn endpoint_targets(&self) -> Result<Vec<Value>> {
        let mut targets = Vec::new();
        for endpoints in self.all("Endpoints") {
            let service = self.find("Service", &endpoints["metadata"]["name"]);
            for subset in endpoints["subsets"].as_array().into_iter().flatten() {
                let addresses = ["addresses", "notReadyAddresses"].map(|list| subset[list].as_array());
                for address in addresses.into_iter().flatten().flatten() {
                    for port in subset["ports"].as_array().into_iter().flatten() {
                        let mut labels = service.map(|service| of_object("service", service)).unwrap_or_default();
                        labels.extend(of_address(address, port));
                        if let Some(pod) = self.find("Pod", &address["targetRef"]["name"]) {
                            labels.extend(of_object("pod", pod));
                            let number = &port["port"];
                            let container = container_ports(pod).find(|(_, port)| port["containerPort"] == *number);
                            labels.extend(container.into_iter().flat_map(|(c, port)| of_container(pod, c, port)));
                        }
                        targets.push(target(&address["ip"], &port["port"], &labels)?);
                    }
                }
            }
        }
        Ok(targets)
    }
}

fn container_ports(pod: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers
        .flat_map(|container| container["ports"].as_array().into_iter().flatten().map(move |port| (container, port)))
}

/// Returns the namespace, the name and the labels of an object.
fn of_object(kind: &str, object: &Value) -> Labels {
    let about = &object["metadata"];
    let mut labels = Labels::new();
    labels.insert("namespace".to_owned(), about["namespace"].clone());
    labels.insert(format!("{kind}_name"), about["name"].clone());
    for (name, value) in about["labels"].as_object().into_iter().flatten() {
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        labels.insert(format!("{kind}_label_{name}"), value.clone());
        labels.insert(format!("{kind}_labelpresent_{name}"), json!("true"));
    }
    labels
}

fn of_container(pod: &Value, container: &Value, port: &Value) -> Labels {
    let labels = json!({
        "pod_phase": pod["status"]["phase"], "pod_container_name": container["name"],
        "pod_container_port_name": port["name"],
    });
    labels.as_object().cloned().unwrap_or_default()
}

fn of_address(address: &Value, port: &Value) -> Labels {
    let labels = json!({
        "endpoint_port_name": port["name"], "endpoint_address_target_kind": address["targetRef"]["kind"],
        "endpoint_address_target_name": address["targetRef"]["name"],
    });
    labels.as_object().cloned().unwrap_or_default()
}

/// Returns a static configuration of one target.
fn target(address: &Value, port: &Value, labels: &Labels) -> Result<Value> {
    let address = address.as_str().context("no address")?;
    ensure!(port.is_number(), "no port");
    let labels = labels.iter().filter(|(_, value)| value.is_string());
    let labels: Labels = labels.map(|(name, value)| (format!("__meta_kubernetes_{name}"), value.clone())).collect();
    Ok(json!({"targets": [format!("{address}:{port}")], "labels": labels}))
}
