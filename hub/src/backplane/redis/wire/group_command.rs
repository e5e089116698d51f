//! Group commands, by which one server asks another to change the groups of a connection (`signalr.md` 9.3 and 9.7). No I/O.
//!
//! Servers of the upstream service send none, because they change the groups of their own connections only.

use crate::backplane::redis::MalformedMessage;
use crate::signalr::protocol::messagepack::{Reader, writer};

/// The change of a connection's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// The connection joins the group.
    Add = 1,
    /// The connection leaves the group.
    Remove = 2,
}

/// A command to the server that holds a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommand<'a> {
    /// The id, which the acknowledgement repeats.
    pub id: u32,
    /// The server that sends the command.
    pub server: &'a str,
    /// The change.
    pub action: Action,
    /// The group.
    pub group: &'a str,
    /// The id of the connection.
    pub connection: &'a str,
}

impl<'a> GroupCommand<'a> {
    /// Parses a command.
    ///
    /// # Errors
    /// Returns the first fault of the message.
    pub fn read(bytes: &'a [u8]) -> Result<GroupCommand<'a>, MalformedMessage> {
        let mut reader = Reader::new(bytes);
        let items = reader.array().ok_or(MalformedMessage("the command is not an array"))?;
        if items < 5 {
            return Err(MalformedMessage("the command has fewer than five items"));
        }
        let id = number(&mut reader)?;
        let server = reader.text().ok_or(MalformedMessage("the server is not a string"))?;
        let action = match reader.integer() {
            Some(1) => Action::Add,
            Some(2) => Action::Remove,
            _ => return Err(MalformedMessage("the action is unknown")),
        };
        let group = reader.text().ok_or(MalformedMessage("the group is not a string"))?;
        let connection = reader.text().ok_or(MalformedMessage("the connection is not a string"))?;
        Ok(GroupCommand { id, server, action, group, connection })
    }

    /// Writes the command.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        writer::array(5, &mut bytes);
        writer::unsigned(self.id.into(), &mut bytes);
        writer::text(self.server, &mut bytes);
        writer::unsigned(self.action as u64, &mut bytes);
        writer::text(self.group, &mut bytes);
        writer::text(self.connection, &mut bytes);
        bytes
    }
}

/// The acknowledgement of a command, which has only the id of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement(pub u32);

impl Acknowledgement {
    /// Parses an acknowledgement.
    ///
    /// # Errors
    /// Returns the first fault of the message.
    pub fn read(bytes: &[u8]) -> Result<Acknowledgement, MalformedMessage> {
        let mut reader = Reader::new(bytes);
        let items = reader.array().ok_or(MalformedMessage("the acknowledgement is not an array"))?;
        if items < 1 {
            return Err(MalformedMessage("the acknowledgement is empty"));
        }
        number(&mut reader).map(Acknowledgement)
    }

    /// Writes the acknowledgement.
    pub fn write(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        writer::array(1, &mut bytes);
        writer::unsigned(self.0.into(), &mut bytes);
        bytes
    }
}

fn number(reader: &mut Reader<'_>) -> Result<u32, MalformedMessage> {
    let number = reader.integer().and_then(|number| u32::try_from(number).ok());
    number.ok_or(MalformedMessage("the id is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_command_malformed_error_names_the_item() {
        for (bytes, wrong) in [
            (&b"\xc0"[..], "the command is not an array"),
            (b"\x94\x01\xa1s\x01\xa1g", "the command has fewer than five items"),
            (b"\x95\xff\xa1s\x01\xa1g\xa1c", "the id is not a number"),
            (b"\x95\x01\xc0\x01\xa1g\xa1c", "the server is not a string"),
            (b"\x95\x01\xa1s\x03\xa1g\xa1c", "the action is unknown"),
            (b"\x95\x01\xa1s\x01\xc0\xa1c", "the group is not a string"),
            (b"\x95\x01\xa1s\x01\xa1g", "the connection is not a string"),
        ] {
            assert_eq!(GroupCommand::read(bytes), Err(MalformedMessage(wrong)), "{bytes:x?}");
        }
        for bytes in [&b""[..], b"\x90", b"\x91\xa1x"] {
            assert!(Acknowledgement::read(bytes).is_err(), "{bytes:x?}");
        }
    }
}
