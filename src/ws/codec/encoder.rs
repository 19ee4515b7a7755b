use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{CloseCode, Role, mask};

/// Writes frames. Holds no state but its settings.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    role: Role,
    fragment_size: usize,
}

impl Encoder {
    /// An encoder that never fragments.
    pub fn new(role: Role) -> Self {
        Encoder { role, fragment_size: usize::MAX }
    }

    /// Splits messages with more payload than this into frames of this size (RFC 6455 §5.4).
    #[must_use]
    pub fn fragment_size(self, bytes: usize) -> Self {
        Encoder { fragment_size: bytes.max(1), ..self }
    }

    /// Whether a payload of that length is sent as it is, so that only a header must be written
    /// before it.
    pub(crate) fn is_verbatim(&self, len: usize) -> bool {
        self.role == Role::Server && len <= self.fragment_size
    }

    /// How long a frame with a payload of that length is.
    #[cfg(feature = "ffi")]
    pub(crate) fn frame_len(&self, payload: usize) -> usize {
        let opcode = OpCode::Data(Data::Binary);
        let mask = (self.role == Role::Client).then_some([0; 4]);
        let header =
            FrameHeader { is_final: true, rsv1: false, rsv2: false, rsv3: false, opcode, mask };
        header.len(payload as u64).saturating_add(payload)
    }

    /// Appends the header of an unfragmented server message.
    pub(crate) fn header(&self, text: bool, compressed: bool, len: usize, out: &mut Vec<u8>) {
        let opcode = OpCode::Data(if text { Data::Text } else { Data::Binary });
        write_header(out, opcode, true, compressed, None, len);
    }

    /// Appends a whole message. `compressed` says that the payload is deflated already
    /// (RFC 7692 §6).
    pub fn message(&self, text: bool, compressed: bool, payload: &[u8], out: &mut Vec<u8>) {
        let mut opcode = if text { Data::Text } else { Data::Binary };
        let mut compressed = compressed;
        let mut rest = payload;
        while rest.len() > self.fragment_size {
            let (fragment, after) = rest.split_at(self.fragment_size);
            self.frame(OpCode::Data(opcode), false, compressed, fragment, out);
            (opcode, compressed, rest) = (Data::Continue, false, after);
        }
        self.frame(OpCode::Data(opcode), true, compressed, rest, out);
    }

    /// Appends a ping (RFC 6455 §5.5.2); `payload` is at most 125 bytes.
    pub fn ping(&self, payload: &[u8], out: &mut Vec<u8>) {
        self.control(Control::Ping, payload, out);
    }

    /// Appends a pong (RFC 6455 §5.5.3); `payload` is at most 125 bytes.
    pub fn pong(&self, payload: &[u8], out: &mut Vec<u8>) {
        self.control(Control::Pong, payload, out);
    }

    /// Appends a close frame (RFC 6455 §5.5.1); a reason over 123 bytes is cut at a character.
    pub fn close(&self, close: Option<(CloseCode, &str)>, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        if let Some((code, reason)) = close {
            payload.extend_from_slice(&u16::from(code).to_be_bytes());
            payload.extend_from_slice(close_reason(reason).as_bytes());
        }
        self.control(Control::Close, &payload, out);
    }

    fn control(&self, control: Control, payload: &[u8], out: &mut Vec<u8>) {
        debug_assert!(payload.len() <= 125);
        self.frame(OpCode::Control(control), true, false, payload, out);
    }

    fn frame(&self, opcode: OpCode, fin: bool, rsv1: bool, payload: &[u8], out: &mut Vec<u8>) {
        let key = (self.role == Role::Client).then(|| fastrand::u32(..).to_ne_bytes());
        out.reserve(payload.len() + 14);
        write_header(out, opcode, fin, rsv1, key, payload.len());
        let start = out.len();
        out.extend_from_slice(payload);
        if let Some(key) = key {
            mask::apply(&mut out[start..], key, 0);
        }
    }
}

/// As much of a reason as fits into a close frame, cut at a character.
pub(crate) fn close_reason(reason: &str) -> &str {
    let fits = (0..=reason.len().min(123)).rev().find(|end| reason.is_char_boundary(*end));
    &reason[..fits.unwrap_or(0)]
}

fn write_header(
    out: &mut Vec<u8>,
    opcode: OpCode,
    is_final: bool,
    rsv1: bool,
    mask: Option<[u8; 4]>,
    len: usize,
) {
    let header = FrameHeader { is_final, rsv1, rsv2: false, rsv3: false, opcode, mask };
    header.format(len as u64, out).expect("writing to a Vec cannot fail");
}
