{{- /*
Permissions of the operator in the namespaces that it watches. A test compares this list with operator/src/permissions.rs.
*/ -}}
{{- define "operator.rules" -}}
# Finds the NotificationHubs to reconcile.
- apiGroups: [notificationhub.rs]
  resources: [notificationhubs]
  verbs: [list, watch]
# Writes the status of NotificationHubs.
- apiGroups: [notificationhub.rs]
  resources: [notificationhubs/status]
  verbs: [patch]
# Runs the pods of a hub. get checks the ownership before a write, patch is server-side apply.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# Creates the identity of a hub's pods, which has no permissions.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch]
# Stores the log level of a hub, which changes without a restart.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch]
# Leads clients, senders and Prometheus to a hub. delete is for the Service of senders after a change to a queue.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# get checks the values that a spec refers to. create, patch and delete are for generated keys. Watches read metadata only.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# Scales a hub. delete is for a hub that is not autoscaled any more.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# Limits how many pods of a hub are evicted at once. delete is for a hub with one pod at most.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Exposes a hub outside the cluster if expose.ingress is set.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
# Restricts connections to a hub's pods if networkPolicy is enabled.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# Finds the pods of a hub, to scrape their number of clients.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
# Exposes a hub outside the cluster if expose.httpRoute is set.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Makes Prometheus scrape a hub if monitoring.serviceMonitor is enabled.
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
# Makes Prometheus scrape a hub if monitoring.podMonitor is enabled.
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
# Scales a hub by KEDA if autoscaling.keda is set.
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch, create, patch, delete]
# Reports changes of conditions. patch counts repeated Events.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
