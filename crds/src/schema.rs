//! Schema fragments that no derive writes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema, schema_for};
use serde_json::{Value, json};

/// Returns the name and doc comment of every variant of a fieldless enum.
pub(crate) fn variant_descriptions<T: JsonSchema>() -> Vec<(String, String)> {
    let schema = schema_for!(T);
    let text = |variant: &Value, key: &str| variant[key].as_str().map(|text| text.replace('\n', " "));
    let variants = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    variants.filter_map(|variant| Some((text(variant, "const")?, text(variant, "description")?))).collect()
}

/// An object whose fields are kept as they are written.
pub(crate) fn preserved_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A duration as the hub reads it. By a pattern: a rule with `duration()` fails with an error instead of a message.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 16, "pattern": "^([0-9]{1,6}(ms|s|m|h))+$" })
}

/// A number of pods above 0, or a percentage of them. The bounds are each for one of the two.
pub(crate) fn count_or_percentage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "maximum": 1000,
        "maxLength": 4,
        "pattern": "^[1-9][0-9]{0,2}%$",
    })
}

/// Labels of a child, without those that are the operator's.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    let ours = ["name", "instance", "managed-by"].map(|label| format!("!('app.kubernetes.io/{label}' in self)"));
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {
            "type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
        "x-kubernetes-validations": [{
            "rule": ours.join(" && "),
            "message": "app.kubernetes.io/name, instance and managed-by are how the operator knows its objects: leave these labels out",
        }],
    })
}

/// Annotations of a child.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 16384 },
    })
}

/// Hosts as an HTTPRoute names them.
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

/// A duration as Prometheus reads it: like the hub's, but the longest unit comes first.
pub(crate) fn interval(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 16,
        "pattern": "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$",
    })
}

/// Triggers of a ScaledObject, as KEDA has them: what a trigger takes is its scaler's.
pub(crate) fn triggers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "object",
            "required": ["type"],
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {
                "type": { "type": "string", "minLength": 1, "maxLength": 63, "description": "The scaler." },
            },
        },
    })
}

/// Peers of a NetworkPolicy, as Kubernetes has them. Never an empty list: to Kubernetes it means everybody.
pub(crate) fn network_policy_peers(_: &mut SchemaGenerator) -> Schema {
    let value = json!({ "type": "string", "maxLength": 63 });
    let cidr = |description: &str| {
        json!({
            "type": "string", "maxLength": 49, "description": description,
            "x-kubernetes-validations": [{
                "rule": "isCIDR(self)",
                "message": "a block of addresses is written like 10.0.0.0/8 or fd00::/8: change it in source.direct.allowFrom",
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
                    "description": "Labels with the values that they have to have. Defaults to none.",
                },
                "matchExpressions": {
                    "type": "array", "maxItems": 16, "x-kubernetes-list-type": "atomic",
                    "description": "Conditions that labels have to meet. Defaults to none.",
                    "items": {
                        "type": "object",
                        "required": ["key", "operator"],
                        "properties": {
                            "key": { "type": "string", "maxLength": 317, "description": "The label." },
                            "operator": {
                                "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                                "description": "What has to be true of it.",
                            },
                            "values": {
                                "type": "array", "maxItems": 32, "items": value, "x-kubernetes-list-type": "atomic",
                                "description": "The values that In and NotIn are about. Defaults to none.",
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
                    "description": "Addresses. Not together with selectors.",
                    "properties": {
                        "cidr": cidr("The block of addresses."),
                        "except": {
                            "type": "array", "maxItems": 32, "x-kubernetes-list-type": "atomic",
                            "items": cidr("A block of addresses."),
                            "description": "Blocks within it that do not belong to it. Defaults to none.",
                        },
                    },
                },
                "namespaceSelector": selector("Namespaces by their labels; {} is all of them."),
                "podSelector": selector("Pods by their labels, of those namespaces or else of the hub's; {} is all of them."),
            },
            "x-kubernetes-validations": [{
                "rule": "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
                "message": "say who may post: give each entry of source.direct.allowFrom either an ipBlock or a podSelector, a namespaceSelector or both",
            }],
        },
    })
}
