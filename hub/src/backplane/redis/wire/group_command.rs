//! What one server asks the others about the groups of a connection that it does not hold (`signalr.md` 9.3 and 9.7).
//! Bitwarden's never ask: they change the groups of their own connections only.

use crate::backplane::redis::MalformedMessage;
use crate::signalr::protocol::messagepack::{Reader, writer};

/// Whether a connection joins or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// It joins.
    Add = 1,
    /// It leaves.
    Remove = 2,
}

/// A command to the server that holds a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommand<'a> {
    /// The number that its acknowledgement carries.
    pub id: u32,
    /// Who asks.
    pub server: &'a str,
    /// What is to be done.
    pub action: Action,
    /// With which group.
    pub group: &'a str,
    /// To which connection.
    pub connection: &'a str,
}

impl<'a> GroupCommand<'a> {
    /// Reads a command.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(bytes: &'a [u8]) -> Result<GroupCommand<'a>, MalformedMessage> {
        let mut reader = Reader::new(bytes);
        let items = reader.array().ok_or(MalformedMessage("the command is no array"))?;
        if items < 5 {
            return Err(MalformedMessage("the command has less than five items"));
        }
        let id = number(&mut reader)?;
        let server = reader.text().ok_or(MalformedMessage("the server is no text"))?;
        let action = match reader.integer() {
            Some(1) => Action::Add,
            Some(2) => Action::Remove,
            _ => return Err(MalformedMessage("the action is unknown")),
        };
        let group = reader.text().ok_or(MalformedMessage("the group is no text"))?;
        let connection = reader.text().ok_or(MalformedMessage("the connection is no text"))?;
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

/// The answer to a command: its number, alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement(pub u32);

impl Acknowledgement {
    /// Reads an acknowledgement.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Acknowledgement, MalformedMessage> {
        let mut reader = Reader::new(bytes);
        let items = reader.array().ok_or(MalformedMessage("the acknowledgement is no array"))?;
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
    number.ok_or(MalformedMessage("the number is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_command_malformed_error_names_the_item() {
        for (bytes, wrong) in [
            (&b"\xc0"[..], "the command is no array"),
            (b"\x94\x01\xa1s\x01\xa1g", "the command has less than five items"),
            (b"\x95\xff\xa1s\x01\xa1g\xa1c", "the number is none"),
            (b"\x95\x01\xc0\x01\xa1g\xa1c", "the server is no text"),
            (b"\x95\x01\xa1s\x03\xa1g\xa1c", "the action is unknown"),
            (b"\x95\x01\xa1s\x01\xc0\xa1c", "the group is no text"),
            (b"\x95\x01\xa1s\x01\xa1g", "the connection is no text"),
        ] {
            assert_eq!(GroupCommand::read(bytes), Err(MalformedMessage(wrong)), "{bytes:x?}");
        }
        for bytes in [&b""[..], b"\x90", b"\x91\xa1x"] {
            assert!(Acknowledgement::read(bytes).is_err(), "{bytes:x?}");
        }
    }
}
