//! Schema fragments that no derive writes.

use schemars::{Schema, SchemaGenerator, json_schema};

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
