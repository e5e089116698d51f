{{- /*
Permissions of the operator in the namespaces that it watches. A test compares this list with operator/src/permissions.rs.
*/ -}}
{{- define "operator.rules" -}}
# To learn which hubs are wanted.
- apiGroups: [notificationhub.rs]
  resources: [notificationhubs]
  verbs: [list, watch]
# To tell how each of them is.
- apiGroups: [notificationhub.rs]
  resources: [notificationhubs/status]
  verbs: [patch]
# The pods of a hub; get to see whose it is before anything is written, patch is server-side apply.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# The identity of a hub's pods, which has no rights.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch]
# The log level of a hub, which changes without a restart.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch]
# The ways to a hub for clients, senders and metrics; delete for the senders' when they put notifications on a queue instead.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# Get to check the keys, addresses and passwords that a spec names; create, patch and delete for the generated keys; watched by metadata only.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# Who decides how many pods a hub has; delete for a hub whose spec says it.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# How many pods of a hub may be taken from it at once; delete for a hub that has no more than one.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# The way to a hub from outside that expose.ingress asks for.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
# Who may reach a hub's pods, where networkPolicy asks for it.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# To ask a hub's pods how many clients they have.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
# The way to a hub from outside that expose.httpRoute asks for.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# By which Prometheus finds a hub's metrics, where monitoring.serviceMonitor asks for it.
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, watch, create, patch, delete]
# The same, where monitoring.podMonitor asks for it.
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
# Who decides how many pods a hub has, where autoscaling.keda asks for it.
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, watch, create, patch, delete]
# To tell of changes; patch counts repetitions.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
