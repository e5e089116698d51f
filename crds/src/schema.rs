//! Schema fragments that cannot be derived from types.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::{Value, json};

/// Returns the name and doc comment of every variant of a fieldless enum.
pub(crate) fn variant_descriptions<T: JsonSchema>() -> Vec<(String, String)> {
    let schema = schema_for!(T);
    let text = |variant: &Value, key: &str| variant[key].as_str().map(|text| text.replace('\n', " "));
    let variants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    variants.filter_map(|variant| Some((text(variant, "const")?, text(variant, "description")?))).collect()
}

/// Returns the schema of an object whose unknown fields are preserved.
pub(crate) fn preserved_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Returns the schema of a duration, in the format of the hub. A pattern checks it, because a rule with `duration()` fails
/// without its message.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 16, "pattern": "^([0-9]{1,6}(ms|s|m|h))+$" })
}

/// Returns the schema of a number of pods above 0, or of a percentage. Numeric bounds apply to the number, and bounds of strings
/// to the percentage.
pub(crate) fn count_or_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "maximum": 1000,
        "maxLength": 4,
        "pattern": "^[1-9][0-9]{0,2}%$",
    })
}

/// Returns the schema of labels of a child, without the labels that are reserved for the operator.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    let unreserved = ["name", "instance", "managed-by"].map(|label| format!("!('app.kubernetes.io/{label}' in self)"));
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
        "x-kubernetes-validations": [{
            "rule": unreserved.join(" && "),
            "message": "labels app.kubernetes.io/name, app.kubernetes.io/instance, and app.kubernetes.io/managed-by are reserved for the operator; remove them",
        }],
    })
}

/// Returns the schema of annotations of a child.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 16384 },
    })
}

/// Returns the schema of the host names of an HTTPRoute.
pub(crate) fn hostnames(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "type": "string", "minLength": 1, "maxLength": 253,
            "pattern": r"^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        },
    })
}

/// Returns the schema of a duration in the format of Prometheus, where the longest unit comes first.
pub(crate) fn interval(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 16,
        "pattern": "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$",
    })
}

/// Returns the schema of the triggers of a KEDA ScaledObject. The fields of a trigger depend on its scaler.
pub(crate) fn triggers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "object",
            "required": ["type"],
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {
                "type": {
                    "type": "string", "minLength": 1, "maxLength": 63,
                    "description": "type is the scaler of the trigger, such as `azure-queue`.",
                },
            },
        },
    })
}

/// Returns the schema of peers of a NetworkPolicy. An empty list is invalid, because Kubernetes reads it as all peers.
pub(crate) fn network_policy_peers(_: &mut SchemaGenerator) -> Schema {
    let value = json!({ "type": "string", "maxLength": 63 });
    let cidr = |path: &str, description: &str| {
        json!({
            "type": "string", "maxLength": 49, "description": description,
            "x-kubernetes-validations": [{
                "rule": "isCIDR(self)",
                "message": format!("{path} must be a valid CIDR value, such as 10.0.0.0/8 or fd00::/8"),
            }],
        })
    };
    let selector = |description: &str| {
        json!({
            "type": "object",
            "description": description,
            "properties": {
                "matchLabels": {
                    "type": "object", "maxProperties": 32, "additionalProperties": value,
                    "description": "matchLabels are labels and the values that they must have. Defaults to none.",
                },
                "matchExpressions": {
                    "type": "array", "maxItems": 16, "x-kubernetes-list-type": "atomic",
                    "description": "matchExpressions are requirements that the labels must meet. Defaults to none.",
                    "items": {
                        "type": "object",
                        "required": ["key", "operator"],
                        "properties": {
                            "key": {
                                "type": "string", "maxLength": 317,
                                "description": "key is the label that the requirement applies to.",
                            },
                            "operator": {
                                "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                                "description": "operator relates the label to the values.",
                            },
                            "values": {
                                "type": "array", "maxItems": 32, "items": value, "x-kubernetes-list-type": "atomic",
                                "description": "values are the values of the operators In and NotIn. Defaults to none.",
                            },
                        },
                    },
                },
            },
        })
    };
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 32,
        "items": {
            "type": "object",
            "properties": {
                "ipBlock": {
                    "type": "object",
                    "required": ["cidr"],
                    "description": "ipBlock is a block of IP addresses. It may not be specified together with selectors.",
                    "properties": {
                        "cidr": cidr("ipBlock.cidr", "cidr is the block of addresses, such as `10.0.0.0/8`."),
                        "except": {
                            "type": "array", "maxItems": 32, "x-kubernetes-list-type": "atomic",
                            "items": cidr("each item of ipBlock.except", "Block of addresses within cidr."),
                            "description": "except are blocks of addresses within cidr that are excluded. Defaults to none.",
                        },
                    },
                },
                "namespaceSelector": selector(
                    "namespaceSelector selects namespaces by their labels. An empty selector selects all namespaces.",
                ),
                "podSelector": selector(
                    "podSelector selects pods by their labels, in the namespaces of namespaceSelector or else in the hub's namespace. \
                     An empty selector selects all pods.",
                ),
            },
            "x-kubernetes-validations": [{
                "rule": "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
                "message": "each item of source.direct.allowFrom must specify either ipBlock, or at least one of podSelector and namespaceSelector",
            }],
        },
    })
}
