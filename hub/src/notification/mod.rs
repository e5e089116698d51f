//! What a push is: its envelope, the types with their members, ids and dates (`bitwarden.md` 5). No I/O.

mod client_type;
mod date;
mod device;
mod forwarded;
mod member;
mod object;
mod push_type;
mod read;
mod value;

pub use client_type::ClientType;
pub use date::Date;
pub use device::Device;
pub use member::{FieldKind, Member};
pub use push_type::{PushType, Target};
pub use read::{MalformedPush, read};
pub use value::Value;

/// A push as it is handed on: read, checked and in the order in which it will be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The type's number, 0 to 255.
    pub kind: u8,
    /// The payload's members.
    pub payload: Value,
    /// The device that caused the push and will ignore it; copied as it came.
    pub context_id: Option<String>,
    /// The members of the payload that senders always write and this one left out: they hold their default.
    pub missing: Vec<&'static str>,
}

impl Notification {
    /// What is known of the type; nothing for a number that is not in the catalogue.
    pub fn push_type(&self) -> Option<&'static PushType> {
        PushType::from_number(self.kind)
    }
}
