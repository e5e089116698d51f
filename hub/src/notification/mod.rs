//! Pushes: the envelope, the catalog of types with their members, GUIDs and dates (`bitwarden.md` 5). No I/O.

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

/// A push that was read and validated. Its payload has the order in which it is written to clients.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The number of the push type, 0 to 255.
    pub kind: u8,
    /// The payload.
    pub payload: Value,
    /// The id of the device that caused the push and ignores it, unchanged.
    pub context_id: Option<String>,
    /// The members that senders always write and this payload lacked. They have their default values.
    pub missing: Vec<&'static str>,
}

impl Notification {
    /// Returns the push type, or `None` if the number is not in the catalog.
    pub fn push_type(&self) -> Option<&'static PushType> {
        PushType::from_number(self.kind)
    }
}
