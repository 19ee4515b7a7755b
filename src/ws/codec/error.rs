use thiserror::Error;

use super::CloseCode;

/// What a peer did that ends the connection. Its text is sent to the peer as the close reason.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An opcode that RFC 6455 §5.2 reserves.
    #[error("reserved opcode")]
    ReservedOpcode,
    /// A reserved header bit without an extension that gives it a meaning (RFC 6455 §5.2).
    #[error("reserved bit set")]
    ReservedBit,
    /// A client sent a plain frame, or a server a masked one (RFC 6455 §5.1).
    #[error("wrong masking")]
    Masking,
    /// A payload length not in its shortest form, or over 63 bits (RFC 6455 §5.2).
    #[error("malformed payload length")]
    Length,
    /// A control frame that is fragmented or longer than 125 bytes (RFC 6455 §5.5).
    #[error("malformed control frame")]
    Control,
    /// A continuation without a start, or a start before the end (RFC 6455 §5.4).
    #[error("frames out of order")]
    FrameOrder,
    /// A close frame with a one-byte body or a code that must not be sent (RFC 6455 §7.4).
    #[error("malformed close frame")]
    Close,
    /// Text, or a close reason, that is not UTF-8 (RFC 6455 §8.1).
    #[error("text is not UTF-8")]
    Utf8,
    /// A message, or a frame, over the configured size, before or after decompression.
    #[error("message too large")]
    TooLarge,
    /// Compressed data that does not inflate (RFC 7692 §7.2.2).
    #[error("malformed compressed data")]
    Deflate,
}

impl ProtocolError {
    /// The code to close the connection with (RFC 6455 §7.4.1).
    pub fn close_code(self) -> CloseCode {
        match self {
            ProtocolError::Utf8 | ProtocolError::Deflate => CloseCode::Invalid,
            ProtocolError::TooLarge => CloseCode::Size,
            _ => CloseCode::Protocol,
        }
    }
}
