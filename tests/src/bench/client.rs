//! One client of the load generator: a small state machine over the bytes from the server, without a buffer. It parses frames
//! only as far as necessary to distinguish deliveries and pings. No I/O.

use anyhow::{Result, bail};

use super::push::STAMP_BYTES;

/// The handshake request, in a binary frame masked with zeros.
pub const HANDSHAKE: &[u8] = b"\x82\xa7\0\0\0\0{\"protocol\":\"messagepack\",\"version\":1}\x1e";

/// The payload length of the handshake response `{}\x1e` and of a MessagePack ping. Every push is longer.
const SHORT_PAYLOAD_BYTES: u32 = 3;

/// The start of the response to the upgrade request.
const STATUS_PREFIX: &[u8] = b"HTTP/1.1 101 ";

/// The end of the response to the upgrade request.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A ping of the client, masked with zeros.
pub const PING: &[u8] = b"\x82\x83\0\0\0\0\x02\x91\x06";

/// The first byte of a binary message in one frame.
const BINARY: u8 = 0x82;

/// The first byte of a Close frame.
const CLOSE: u8 = 0x88;

/// The state of a client's connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The upgrade request is not sent.
    #[default]
    Connecting,
    /// The response to the upgrade request is not complete.
    Upgrading,
    /// The handshake response is not complete.
    Handshaking,
    /// The client is connected.
    Open,
    /// The server has closed the connection.
    Lost,
}

/// The effect of some bytes from the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether the upgrade was accepted, so that the handshake must be sent.
    pub upgraded: bool,
    /// Whether the handshake succeeded, so that the client is connected.
    pub opened: bool,
    /// The number of pushes that were completed.
    pub deliveries: u32,
    /// The bytes of these pushes on the wire.
    pub bytes: u64,
    /// The stamps of these pushes.
    pub stamps: Vec<u64>,
    /// The number of pings from the server.
    pub pings: u32,
}

/// The state of one client.
#[derive(Debug, Default)]
pub struct Client {
    /// The number of pushes since the last reset of the counts.
    pub deliveries: u32,
    phase: Phase,
    /// How many bytes of the status line have matched.
    status: u8,
    /// How many bytes of the head's end have matched.
    end: u8,
    /// The header of the current frame.
    head: [u8; 4],
    /// How many bytes of the header are complete.
    have: u8,
    /// How many bytes of the payload are missing.
    left: u32,
    /// The stamp that is being read.
    stamp: u64,
    /// How many digits of the stamp are read, or `None` outside of a stamp.
    digits: Option<u8>,
}

impl Client {
    /// Returns the state of the connection.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Records that the upgrade request was sent.
    pub fn on_request_sent(&mut self) {
        self.phase = Phase::Upgrading;
    }

    /// Records that the server closed the connection.
    pub fn on_closed(&mut self) {
        self.phase = Phase::Lost;
    }

    /// Parses bytes from the server.
    ///
    /// # Errors
    /// If the upgrade is rejected, the server closes the connection, or a frame is unexpected.
    pub fn on_data(&mut self, mut bytes: &[u8]) -> Result<Progress> {
        let mut progress = Progress::default();
        while !bytes.is_empty() {
            bytes = match self.phase {
                Phase::Connecting => bail!("the server sent bytes before the request"),
                Phase::Upgrading => self.upgrade(bytes, &mut progress)?,
                Phase::Handshaking | Phase::Open => self.frame(bytes, &mut progress)?,
                Phase::Lost => return Ok(progress),
            };
        }
        Ok(progress)
    }

    fn upgrade<'a>(&mut self, bytes: &'a [u8], progress: &mut Progress) -> Result<&'a [u8]> {
        for (at, byte) in bytes.iter().enumerate() {
            if let Some(expected) = STATUS_PREFIX.get(usize::from(self.status)) {
                if byte != expected {
                    bail!(
                        "the upgrade was refused: {}",
                        String::from_utf8_lossy(bytes).lines().next().unwrap_or_default()
                    );
                }
                self.status += 1;
            }
            self.end = match (*byte == HEAD_END[usize::from(self.end)], *byte) {
                (true, _) => self.end + 1,
                (false, b'\r') => 1,
                (false, _) => 0,
            };
            if usize::from(self.end) == HEAD_END.len() {
                self.phase = Phase::Handshaking;
                progress.upgraded = true;
                return Ok(&bytes[at + 1..]);
            }
        }
        Ok(&[])
    }

    fn frame<'a>(&mut self, mut bytes: &'a [u8], progress: &mut Progress) -> Result<&'a [u8]> {
        if self.left == 0 {
            while usize::from(self.have) < self.head_length() {
                let [byte, rest @ ..] = bytes else { return Ok(&[]) };
                self.head[usize::from(self.have)] = *byte;
                self.have += 1;
                bytes = rest;
            }
            self.left = self.payload_length()?;
        }
        let taken = bytes.len().min(self.left as usize);
        self.left -= taken as u32;
        self.scan_stamps(&bytes[..taken], &mut progress.stamps);
        if self.left == 0 {
            self.message(progress)?;
            self.have = 0;
        }
        Ok(&bytes[taken..])
    }

    fn scan_stamps(&mut self, mut bytes: &[u8], stamps: &mut Vec<u64>) {
        while let [byte, rest @ ..] = bytes {
            bytes = rest;
            match (self.digits, char::from(*byte).to_digit(16)) {
                (Some(have), Some(digit)) => {
                    self.stamp = self.stamp << 4 | u64::from(digit);
                    self.digits = Some(have + 1);
                    if usize::from(have) + 2 == STAMP_BYTES {
                        stamps.push(self.stamp);
                        self.digits = None;
                    }
                }
                _ if *byte == b'@' => (self.stamp, self.digits) = (0, Some(0)),
                (None, _) => match bytes.iter().position(|byte| *byte == b'@') {
                    Some(next) => bytes = &bytes[next..],
                    None => return,
                },
                (Some(_), None) => self.digits = None,
            }
        }
    }

    /// Returns the length of the header: 2 bytes, or 4 with a 16-bit payload length.
    fn head_length(&self) -> usize {
        if self.have >= 2 && self.head[1] == 126 { 4 } else { 2 }
    }

    fn payload_length(&self) -> Result<u32> {
        match self.head[1] {
            126 => Ok(u32::from(u16::from_be_bytes([self.head[2], self.head[3]]))),
            length @ 0..=125 => Ok(u32::from(length)),
            _ => bail!("a frame longer than any push of the benchmark"),
        }
    }

    fn message(&mut self, progress: &mut Progress) -> Result<()> {
        let length = self.payload_length()?;
        match (self.head[0], self.phase) {
            (BINARY, Phase::Handshaking) if length == SHORT_PAYLOAD_BYTES => {
                self.phase = Phase::Open;
                progress.opened = true;
            }
            (BINARY, Phase::Open) if length == SHORT_PAYLOAD_BYTES => progress.pings += 1,
            (BINARY, Phase::Open) => {
                self.deliveries += 1;
                progress.deliveries += 1;
                progress.bytes += u64::from(self.have) + u64::from(length);
            }
            (CLOSE, _) => bail!("the server closed the connection"),
            (first, phase) => bail!("an unexpected frame ({first:#x}, {length} bytes) while {phase:?}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    const ANSWER: &[u8] = b"\x82\x03{}\x1e";
    const PING: &[u8] = b"\x82\x03\x02\x91\x06";

    fn connected() -> Client {
        let mut client = Client::default();
        client.on_request_sent();
        client
    }

    fn push(length: u16) -> Vec<u8> {
        let mut frame = vec![BINARY];
        if length < 126 {
            frame.push(length as u8);
        } else {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        frame.resize(frame.len() + usize::from(length), b'x');
        frame
    }

    #[test]
    fn client_progress_is_independent_of_input_splits() {
        let stream = [UPGRADE, ANSWER, PING, &push(111), &push(300), PING, &push(126)].concat();
        for size in [1, 2, 3, 7, stream.len()] {
            let mut client = connected();
            let mut total = Progress::default();
            for piece in stream.chunks(size) {
                let progress = client.on_data(piece).unwrap();
                total.upgraded |= progress.upgraded;
                total.opened |= progress.opened;
                total.deliveries += progress.deliveries;
                total.bytes += progress.bytes;
                total.pings += progress.pings;
                total.stamps.extend(progress.stamps);
            }
            let bytes = 113 + 304 + 130;
            let expected =
                Progress { upgraded: true, opened: true, deliveries: 3, bytes, stamps: Vec::new(), pings: 2 };
            assert_eq!(total, expected);
            assert_eq!((client.phase(), client.deliveries), (Phase::Open, 3));
        }
    }

    #[test]
    fn client_finds_stamps_across_input_splits() {
        let payload = b"x@12@@00000000000000ff@000000000000000z-@0123456789abcdef";
        let frame = [&[BINARY, payload.len() as u8], payload.as_slice()].concat();
        let stream = [UPGRADE, ANSWER, &frame].concat();
        for size in [1, 2, 5, stream.len()] {
            let mut client = connected();
            let found: Vec<u64> = stream.chunks(size).flat_map(|piece| client.on_data(piece).unwrap().stamps).collect();
            assert_eq!(found, [0xff, 0x0123_4567_89ab_cdef]);
        }
    }

    #[test]
    fn client_rejected_upgrade_or_close_is_an_error() {
        let mut client = connected();
        let error = client.on_data(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap_err();
        assert_eq!(error.to_string(), "the upgrade was refused: HTTP/1.1 401 Unauthorized");
        let mut client = connected();
        client.on_data(&[UPGRADE, ANSWER].concat()).unwrap();
        assert!(client.on_data(b"\x88\x02\x03\xe8").is_err());
    }
}
