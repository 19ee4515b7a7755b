//! The client's side of RFC 6455, as far as a load generator needs it.

use std::io;

use crate::report::Item;

/// The example of RFC 6455 §1.3, so that the answer can be checked without SHA-1.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n";
/// Any key masks as well as another; one with distinct bytes shows a server that mixes them up.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame's opcode (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 1,
    /// Any bytes.
    Binary = 2,
    /// The answer to a ping.
    Pong = 10,
}

/// The header fields of the opening handshake.
pub fn request_fields() -> String {
    format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n"
    )
}

/// Whether a response head, in lower case, completes the handshake.
pub fn accepts(head: &str) -> bool {
    head.starts_with("http/1.1 101") && head.contains(ACCEPT)
}

/// Appends a whole message in one masked frame.
pub fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(0x80 | opcode as u8);
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Takes a server's frames apart, however they are split, without copying payloads.
#[derive(Debug, Default)]
pub struct Reader {
    header: [u8; 10],
    have: usize,
    in_frame: bool,
    /// Payload bytes of the current frame that have not come yet.
    left: usize,
    /// Payload bytes of the current message that have come.
    offset: usize,
    control: Vec<u8>,
}

impl Reader {
    /// Whether the stream stands between two frames.
    pub fn between_frames(&self) -> bool {
        !self.in_frame && self.have == 0
    }

    /// Takes the next bytes.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on_item: impl FnMut(Item<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            if !self.in_frame && !self.read_header(&mut bytes)? {
                return Ok(());
            }
            let here = self.left.min(bytes.len());
            let (payload, rest) = bytes.split_at(here);
            bytes = rest;
            self.left -= here;
            if self.is_control() {
                self.control.extend_from_slice(payload);
            } else if here > 0 {
                on_item(Item::Payload { offset: self.offset, bytes: payload })?;
                self.offset += here;
            }
            if self.left > 0 {
                return Ok(());
            }
            self.end_frame(&mut on_item)?;
        }
    }

    fn is_control(&self) -> bool {
        self.header[0] & 8 != 0
    }

    fn end_frame(
        &mut self,
        on_item: &mut impl FnMut(Item<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.in_frame = false;
        match self.header[0] & 15 {
            8 => Err(io::Error::other(format!("closed with {:02x?}", self.control))),
            9 => on_item(Item::Ping(&std::mem::take(&mut self.control))),
            10 => {
                self.control.clear();
                Ok(())
            }
            _ if self.header[0] & 0x80 != 0 => {
                on_item(Item::End { len: std::mem::take(&mut self.offset) })
            }
            _ => Ok(()),
        }
    }

    /// Completes the header; `false` when there are too few bytes.
    #[inline]
    fn read_header(&mut self, bytes: &mut &[u8]) -> io::Result<bool> {
        loop {
            let need = self.header_len();
            if self.have == need {
                break;
            }
            let here = (need - self.have).min(bytes.len());
            if here == 0 {
                return Ok(false);
            }
            self.header[self.have..self.have + here].copy_from_slice(&bytes[..here]);
            self.have += here;
            *bytes = &bytes[here..];
        }
        if self.header[0] & 0x70 != 0 || self.header[1] & 0x80 != 0 {
            let header = &self.header[..self.have];
            return Err(io::Error::other(format!("a bad frame header: {header:02x?}")));
        }
        let [_, len, long @ ..] = &self.header;
        self.left = match len {
            126 => u16::from_be_bytes([long[0], long[1]]).into(),
            127 => u64::from_be_bytes(*long) as usize,
            len => (*len).into(),
        };
        self.have = 0;
        self.in_frame = true;
        Ok(true)
    }

    fn header_len(&self) -> usize {
        match (self.have, self.header[1]) {
            (0 | 1, _) => 2,
            (_, 126) => 4,
            (_, 127) => 10,
            _ => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(stream: &[u8], piece: usize) -> Vec<String> {
        let mut reader = Reader::default();
        let (mut seen, mut message) = (Vec::new(), Vec::new());
        for piece in stream.chunks(piece) {
            reader
                .feed(piece, |item| {
                    match item {
                        Item::Payload { offset, bytes } => {
                            assert_eq!(offset, message.len());
                            message.extend_from_slice(bytes);
                        }
                        Item::End { len } => {
                            assert_eq!(len, message.len());
                            seen.push(format!("{} x{}", message[0] as char, len));
                            message.clear();
                        }
                        Item::Ping(payload) => seen.push(format!("ping {payload:?}")),
                    }
                    Ok(())
                })
                .unwrap();
        }
        assert!(reader.between_frames());
        seen
    }

    #[test]
    fn frames_are_found_however_the_stream_is_split() {
        let mut stream = vec![0x82, 3, b'a', b'a', b'a', 0x02, 1, b'b', 0x89, 1, 7, 0x80, 1, b'b'];
        stream.extend_from_slice(&[0x82, 126, 0, 200]);
        stream.extend_from_slice(&[b'c'; 200]);
        stream.extend_from_slice(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        stream.extend_from_slice(&[b'd'; 65536]);
        let expected = ["a x3", "ping [7]", "b x2", "c x200", "d x65536"];
        for piece in [1, 2, 3, 7, 1000, stream.len()] {
            assert_eq!(items(&stream, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn masked_or_reserved_headers_are_refused() {
        for header in [[0x82, 0x81], [0xc2, 1]] {
            assert!(Reader::default().feed(&header, |_| Ok(())).is_err());
        }
    }

    #[test]
    fn a_close_frame_ends_the_load() {
        let error = Reader::default().feed(&[0x88, 2, 3, 232], |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("closed with"), "{error}");
    }
}
