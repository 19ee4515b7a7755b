use std::io::Cursor;
use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{CloseCode, ProtocolError, Role, mask};
use crate::ws::Message;

#[cfg(feature = "deflate")]
use super::Inflater;

const MAX_HEADER: usize = 14;
const MAX_CONTROL: u64 = 125;

/// What a peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A whole message.
    Message(Message),
    /// A ping, to be answered by a pong with the same payload (RFC 6455 §5.5.2).
    Ping(Bytes),
    /// A pong (RFC 6455 §5.5.3).
    Pong(Bytes),
    /// A close frame with its code and reason, if it has them. Nothing is decoded after it.
    Close(Option<(CloseCode, Utf8Bytes)>),
}

/// Turns bytes into messages and control frames, in any split.
///
/// Between two calls it holds no more than the unfinished message and at most 14 bytes of an
/// unfinished header; when the peer is between messages it holds no memory at all.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    max_message: usize,
    max_frame: usize,
    #[cfg(feature = "deflate")]
    inflater: Option<Inflater>,
    /// A header of which only the first bytes have come.
    header: [u8; MAX_HEADER],
    header_len: u8,
    frame: Option<Frame>,
    message: Option<Box<Partial>>,
    /// The payload of an unfinished control frame.
    control: Vec<u8>,
    closed: bool,
}

/// The frame whose payload is being received.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: FrameKind,
    is_final: bool,
    mask: Option<[u8; 4]>,
    len: usize,
    received: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameKind {
    /// The first frame of a message.
    Start {
        text: bool,
        compressed: bool,
    },
    Continue,
    Control(Control),
}

/// The message whose frames are being received.
#[derive(Debug)]
struct Partial {
    text: bool,
    compressed: bool,
    payload: Vec<u8>,
    /// How much of the payload is known to be UTF-8.
    checked: usize,
}

impl Decoder {
    /// A decoder that refuses messages with more payload than `max_message` bytes, and frames with
    /// more than `max_frame`.
    pub fn new(role: Role, max_message: usize, max_frame: usize) -> Self {
        Decoder {
            role,
            max_message,
            max_frame,
            #[cfg(feature = "deflate")]
            inflater: None,
            header: [0; MAX_HEADER],
            header_len: 0,
            frame: None,
            message: None,
            control: Vec::new(),
            closed: false,
        }
    }

    /// Accepts compressed messages, as negotiated (RFC 7692).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn inflate(mut self, inflater: Option<Inflater>) -> Self {
        self.inflater = inflater;
        self
    }

    /// Decodes all of `input`, which is overwritten, and hands on what is complete. Bytes after a
    /// close frame are ignored.
    ///
    /// # Errors
    ///
    /// After an error the connection must be closed; the decoder is of no more use.
    pub fn decode(
        &mut self,
        input: &mut [u8],
        mut on_item: impl FnMut(Item),
    ) -> Result<(), ProtocolError> {
        let on_item = |item| {
            on_item(item);
            ControlFlow::Continue(())
        };
        self.decode_until(input, on_item).map(drop)
    }

    /// Like [`decode`](Self::decode), but stops after an item for which `on_item` says so. Returns
    /// how much of the input is left, at its end and as it was, to be decoded later.
    ///
    /// # Errors
    ///
    /// After an error the connection must be closed; the decoder is of no more use.
    pub fn decode_until(
        &mut self,
        mut input: &mut [u8],
        mut on_item: impl FnMut(Item) -> ControlFlow<()>,
    ) -> Result<usize, ProtocolError> {
        let mut block = Block::default();
        while !self.closed {
            if self.frame.is_none() {
                let Some((header, len, used)) = self.parse_header(input)? else { return Ok(0) };
                input = &mut input[used..];
                self.begin_frame(header, len)?;
            }
            let Some(frame) = self.frame else { return Ok(0) };
            let available = input.len().min(frame.len - frame.received);
            let (payload, rest) = input.split_at_mut(available);
            input = rest;
            if let Some(key) = frame.mask {
                mask::apply(payload, key, frame.received);
            }
            let complete = frame.received + available == frame.len;
            let item = match frame.kind {
                FrameKind::Control(control) => self.control_payload(control, payload, complete)?,
                _ => self.data_payload(frame, payload, complete, &mut block, input.len())?,
            };
            if complete {
                self.frame = None;
                if let Some(item) = item {
                    self.closed = matches!(item, Item::Close(_));
                    if on_item(item).is_break() {
                        return Ok(input.len());
                    }
                }
            } else {
                self.frame = Some(Frame { received: frame.received + available, ..frame });
                return Ok(0);
            }
        }
        Ok(0)
    }

    /// Reads a header that may have begun in an earlier input; says how much of this one it took.
    fn parse_header(
        &mut self,
        input: &[u8],
    ) -> Result<Option<(FrameHeader, usize, usize)>, ProtocolError> {
        let before = usize::from(self.header_len);
        let parsed = if before == 0 {
            parse(input)?
        } else {
            let more = input.len().min(MAX_HEADER - before);
            self.header[before..before + more].copy_from_slice(&input[..more]);
            parse(&self.header[..before + more])?
        };
        match parsed {
            Some((header, len, size)) => {
                self.header_len = 0;
                Ok(Some((header, len, size - before)))
            }
            None => {
                if before == 0 {
                    self.header[..input.len()].copy_from_slice(input);
                }
                self.header_len += input.len() as u8;
                Ok(None)
            }
        }
    }

    fn begin_frame(&mut self, header: FrameHeader, len: usize) -> Result<(), ProtocolError> {
        if header.mask.is_some() != (self.role == Role::Server) {
            return Err(ProtocolError::Masking);
        }
        if header.rsv2 || header.rsv3 {
            return Err(ProtocolError::ReservedBit);
        }
        let kind = match header.opcode {
            OpCode::Control(control) => {
                if header.rsv1 {
                    return Err(ProtocolError::ReservedBit);
                }
                if !header.is_final || len as u64 > MAX_CONTROL {
                    return Err(ProtocolError::Control);
                }
                FrameKind::Control(control)
            }
            OpCode::Data(data) => self.begin_data(data, header.rsv1, len)?,
        };
        let (is_final, mask) = (header.is_final, header.mask);
        self.frame = Some(Frame { kind, is_final, mask, len, received: 0 });
        Ok(())
    }

    fn begin_data(
        &self,
        data: Data,
        compressed: bool,
        len: usize,
    ) -> Result<FrameKind, ProtocolError> {
        let (kind, before) = match (&self.message, data) {
            (None, Data::Text | Data::Binary) => {
                if compressed && !self.accepts_compressed() {
                    return Err(ProtocolError::ReservedBit);
                }
                (FrameKind::Start { text: data == Data::Text, compressed }, 0)
            }
            (Some(_), Data::Continue) if compressed => return Err(ProtocolError::ReservedBit),
            (Some(message), Data::Continue) => (FrameKind::Continue, message.payload.len()),
            _ => return Err(ProtocolError::FrameOrder),
        };
        if len > self.max_frame || len > self.max_message - before {
            return Err(ProtocolError::TooLarge);
        }
        Ok(kind)
    }

    fn accepts_compressed(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.inflater.is_some();
        #[cfg(not(feature = "deflate"))]
        return false;
    }

    fn control_payload(
        &mut self,
        control: Control,
        payload: &[u8],
        complete: bool,
    ) -> Result<Option<Item>, ProtocolError> {
        if !complete {
            self.control.extend_from_slice(payload);
            return Ok(None);
        }
        let payload = if self.control.is_empty() {
            Bytes::copy_from_slice(payload)
        } else {
            self.control.extend_from_slice(payload);
            Bytes::from(std::mem::take(&mut self.control))
        };
        Ok(Some(match control {
            Control::Ping => Item::Ping(payload),
            Control::Pong => Item::Pong(payload),
            Control::Close => Item::Close(parse_close(payload)?),
            Control::Reserved(_) => return Err(ProtocolError::ReservedOpcode),
        }))
    }

    fn data_payload(
        &mut self,
        frame: Frame,
        payload: &[u8],
        complete: bool,
        block: &mut Block,
        input_left: usize,
    ) -> Result<Option<Item>, ProtocolError> {
        let last = complete && frame.is_final;
        if let (FrameKind::Start { text, compressed }, None) = (frame.kind, &self.message) {
            if last && !compressed {
                // The common case: the message is whole in the caller's buffer.
                return whole(text, block.copy(payload, input_left)).map(Some);
            }
            let partial = Partial { text, compressed, payload: Vec::new(), checked: 0 };
            self.message = Some(Box::new(partial));
        }
        let Some(message) = &mut self.message else { return Err(ProtocolError::FrameOrder) };
        message.append(payload, frame.len - frame.received)?;
        if !last {
            return Ok(None);
        }
        let Some(message) = self.message.take() else { return Ok(None) };
        let (text, payload) = (message.text, self.finish(*message)?);
        whole(text, payload).map(Some)
    }

    #[cfg(feature = "deflate")]
    fn finish(&mut self, message: Partial) -> Result<Bytes, ProtocolError> {
        match (&mut self.inflater, message.compressed) {
            (Some(inflater), true) => {
                inflater.inflate(&message.payload, self.max_message).map(trimmed)
            }
            _ => Ok(trimmed(message.payload)),
        }
    }

    #[cfg(not(feature = "deflate"))]
    fn finish(&mut self, message: Partial) -> Result<Bytes, ProtocolError> {
        Ok(trimmed(message.payload))
    }
}

impl Partial {
    /// Adds a piece of a frame of which `left` bytes, with this piece, are still to come.
    fn append(&mut self, piece: &[u8], left: usize) -> Result<(), ProtocolError> {
        // What a header announces is only reserved once the peer has sent a good part of it.
        if left <= piece.len().saturating_mul(16) {
            self.payload.reserve(left);
        }
        self.payload.extend_from_slice(piece);
        if self.text && !self.compressed {
            match std::str::from_utf8(&self.payload[self.checked..]) {
                Ok(_) => self.checked = self.payload.len(),
                Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
                Err(_) => return Err(ProtocolError::Utf8),
            }
        }
        Ok(())
    }
}

/// Small messages that came together share one allocation, of at most `Block::SIZE` bytes, which
/// lives as long as any of them.
#[derive(Default)]
struct Block(BytesMut);

impl Block {
    const SIZE: usize = 4096;
    const SMALL: usize = 1024;

    /// A copy of a payload behind which there are `input_left` more bytes to decode.
    fn copy(&mut self, payload: &[u8], input_left: usize) -> Bytes {
        let alone = self.0.capacity() == 0 && input_left == 0;
        if alone || payload.len() > Self::SMALL {
            return Bytes::copy_from_slice(payload);
        }
        if self.0.capacity() < payload.len() {
            self.0 = BytesMut::with_capacity((payload.len() + input_left).min(Self::SIZE));
        }
        self.0.extend_from_slice(payload);
        self.0.split().freeze()
    }
}

/// The header at the start of `input`, the payload length and the size of the header itself.
fn parse(input: &[u8]) -> Result<Option<(FrameHeader, usize, usize)>, ProtocolError> {
    if let Some(short) = parse_short(input) {
        return Ok(Some(short));
    }
    let mut cursor = Cursor::new(input);
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| ProtocolError::ReservedOpcode)?;
    let Some((header, len)) = parsed else { return Ok(None) };
    let size = cursor.position() as usize;
    if size != header.len(len) || len > i64::MAX as u64 {
        return Err(ProtocolError::Length);
    }
    Ok(Some((header, usize::try_from(len).map_err(|_| ProtocolError::TooLarge)?, size)))
}

/// The header that nearly every message from a client has, taken apart without a detour: at most
/// 125 bytes of masked payload.
#[inline]
fn parse_short(input: &[u8]) -> Option<(FrameHeader, usize, usize)> {
    let &[first, second, a, b, c, d, ..] = input else { return None };
    let is_final = first & 0x80 != 0;
    let opcode = match first & 0x7f {
        1 => OpCode::Data(Data::Text),
        2 => OpCode::Data(Data::Binary),
        _ => return None,
    };
    let len = second.checked_sub(0x80).filter(|len| *len <= 125)?;
    let mask = Some([a, b, c, d]);
    let header = FrameHeader { is_final, rsv1: false, rsv2: false, rsv3: false, opcode, mask };
    Some((header, len.into(), 6))
}

fn parse_close(payload: Bytes) -> Result<Option<(CloseCode, Utf8Bytes)>, ProtocolError> {
    match payload.first_chunk() {
        None if payload.is_empty() => Ok(None),
        None => Err(ProtocolError::Close),
        Some(code) => {
            let code = CloseCode::from(u16::from_be_bytes(*code));
            if !code.is_allowed() {
                return Err(ProtocolError::Close);
            }
            let reason = Utf8Bytes::try_from(payload.slice(2..));
            Ok(Some((code, reason.map_err(|_| ProtocolError::Utf8)?)))
        }
    }
}

fn whole(text: bool, payload: Bytes) -> Result<Item, ProtocolError> {
    Ok(Item::Message(if text {
        Message::Text(Utf8Bytes::try_from(payload).map_err(|_| ProtocolError::Utf8)?)
    } else {
        Message::Binary(payload)
    }))
}

/// Gives back what a growing buffer took too much, so that no message pins twice its size.
fn trimmed(mut payload: Vec<u8>) -> Bytes {
    if payload.capacity() - payload.len() > payload.len() / 8 {
        payload.shrink_to_fit();
    }
    Bytes::from(payload)
}
