//! Schema fragments that no derive writes.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An object whose fields are kept as they are written.
pub(crate) fn preserved_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
