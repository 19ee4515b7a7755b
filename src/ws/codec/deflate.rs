//! permessage-deflate (RFC 7692), a whole message at a time.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::ProtocolError;
use crate::transport::lend;

/// What a sender takes off the end of a message and a receiver puts back (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// How messages are compressed for clients that offer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    pub(crate) level: u8,
    pub(crate) window_bits: u8,
    pub(crate) context_takeover: bool,
    pub(crate) threshold: usize,
}

impl Default for Deflate {
    fn default() -> Self {
        Deflate { level: 1, window_bits: 15, context_takeover: false, threshold: 1024 }
    }
}

impl Deflate {
    /// The effort, from 1 (fastest, the default) to 9 (smallest).
    #[must_use]
    pub fn level(self, level: u8) -> Self {
        Deflate { level: level.clamp(1, 9), ..self }
    }

    /// The size of the sliding window as a power of two, from 9 (512 bytes) to 15 (32 KiB, the
    /// default).
    #[must_use]
    pub fn window_bits(self, bits: u8) -> Self {
        Deflate { window_bits: bits.clamp(9, 15), ..self }
    }

    /// Lets messages refer back to earlier ones (RFC 7692 §7.1.1), which compresses similar small
    /// messages far better and costs up to 300 KiB of memory per connection. Off by default: the
    /// compressors are then shared by all connections of a thread and cost a connection nothing.
    #[must_use]
    pub fn context_takeover(self, on: bool) -> Self {
        Deflate { context_takeover: on, ..self }
    }

    /// Messages with less payload than this many bytes are sent as they are. Default: 1,024.
    #[must_use]
    pub fn threshold(self, bytes: usize) -> Self {
        Deflate { threshold: bytes, ..self }
    }
}

/// What both ends agreed on (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParams {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The server's window, as a power of two.
    pub server_max_window_bits: u8,
    /// The client's window, as a power of two.
    pub client_max_window_bits: u8,
}

thread_local! {
    /// For all connections of this thread whose messages stand alone. The largest window inflates
    /// what any window deflated.
    static INFLATE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
    static DEFLATE: RefCell<Vec<(Key, Compress)>> = const { RefCell::new(Vec::new()) };
}

type Key = (u8, u8);

/// Inflates the messages of one connection.
#[derive(Debug)]
pub struct Inflater {
    /// The window, where messages refer back to earlier ones.
    context: Option<Box<Decompress>>,
}

impl Inflater {
    /// For a server, by what was agreed for its client's messages.
    pub fn new(params: &DeflateParams) -> Self {
        let takeover = !params.client_no_context_takeover;
        Inflater {
            context: takeover.then(|| {
                Box::new(Decompress::new_with_window_bits(false, params.client_max_window_bits))
            }),
        }
    }

    /// The message, unless it has more than `limit` bytes.
    pub fn inflate(&mut self, payload: &[u8], limit: usize) -> Result<Vec<u8>, ProtocolError> {
        match &mut self.context {
            Some(context) => inflate(context, payload, limit),
            None => lend(&INFLATE, |shared| {
                let shared = shared.get_or_insert_with(|| Decompress::new(false));
                shared.reset(false);
                inflate(shared, payload, limit)
            }),
        }
    }
}

fn inflate(
    context: &mut Decompress,
    payload: &[u8],
    limit: usize,
) -> Result<Vec<u8>, ProtocolError> {
    let mut out = Vec::with_capacity(payload.len().saturating_mul(3).clamp(64, 64 * 1024));
    for mut input in [payload, &TAIL] {
        loop {
            let before = context.total_in();
            let status = context
                .decompress_vec(input, &mut out, FlushDecompress::Sync)
                .map_err(|_| ProtocolError::Deflate)?;
            input = &input[(context.total_in() - before) as usize..];
            if out.len() > limit {
                return Err(ProtocolError::TooLarge);
            }
            match status {
                // A final block (RFC 7692 §7.2.3.4): what follows starts anew, be it in the same
                // message (§7.2.3.5), of which only the empty block's tail may be left then.
                Status::StreamEnd => {
                    context.reset(false);
                    if input.is_empty() {
                        return Ok(out);
                    }
                }
                _ if out.len() == out.capacity() => {
                    let more = out.len().min(limit - out.len() + 1).max(64);
                    out.reserve(more);
                }
                _ if input.is_empty() => break,
                Status::Ok | Status::BufError => return Err(ProtocolError::Deflate),
            }
        }
    }
    Ok(out)
}

/// Deflates the messages of one connection.
#[derive(Debug)]
pub struct Deflater {
    key: Key,
    threshold: usize,
    /// The window, where messages refer back to earlier ones.
    context: Option<Box<Compress>>,
}

impl Deflater {
    /// For a server, by what was agreed for its own messages.
    pub fn new(params: &DeflateParams, settings: &Deflate) -> Self {
        let key = (settings.level, params.server_max_window_bits);
        let takeover = !params.server_no_context_takeover;
        Deflater {
            key,
            threshold: settings.threshold,
            context: takeover.then(|| Box::new(compress(key))),
        }
    }

    /// What broadcasts compressed for this connection are shared by.
    pub(crate) fn key(&self) -> (u8, u8) {
        self.key
    }

    /// Whether a message of that size is worth the effort.
    pub fn wants(&self, len: usize) -> bool {
        len > 0 && len >= self.threshold
    }

    /// Whether messages are compressed by themselves, so that their order does not matter.
    pub(crate) fn is_stateless(&self) -> bool {
        self.context.is_none()
    }

    /// Compresses a message; `None` when it would not get smaller.
    pub fn deflate(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        match &mut self.context {
            Some(context) => Some(deflate(context, payload)),
            None => deflate_alone(self.key, payload),
        }
    }

    /// Forgets earlier messages, after one was sent that this compressor has not seen.
    pub(crate) fn reset(&mut self) {
        if let Some(context) = &mut self.context {
            context.reset();
        }
    }
}

/// Compresses a message that refers to no other; `None` when it would not get smaller.
pub(crate) fn deflate_alone(key: Key, payload: &[u8]) -> Option<Vec<u8>> {
    let deflated = lend(&DEFLATE, |shared| {
        let index = shared.iter().position(|(used, _)| *used == key).unwrap_or_else(|| {
            shared.push((key, compress(key)));
            shared.len() - 1
        });
        let context = &mut shared[index].1;
        context.reset();
        deflate(context, payload)
    });
    (deflated.len() < payload.len()).then_some(deflated)
}

fn compress((level, window_bits): Key) -> Compress {
    Compress::new_with_window_bits(Compression::new(level.into()), false, window_bits)
}

fn deflate(context: &mut Compress, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() / 2 + 64);
    let mut input = payload;
    loop {
        let before = context.total_in();
        context
            .compress_vec(input, &mut out, FlushCompress::Sync)
            .expect("a compressor takes any input");
        input = &input[(context.total_in() - before) as usize..];
        if input.is_empty() && out.len() < out.capacity() {
            break;
        }
        out.reserve(out.len().max(64));
    }
    debug_assert!(out.ends_with(&TAIL));
    out.truncate(out.len() - TAIL.len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEOVER: DeflateParams = DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };

    /// The example of RFC 7692 §7.2.3.4: "Hello" in a final block, and an empty block.
    const FINAL: [u8; 8] = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];

    fn inflated(payload: &[u8]) -> Vec<u8> {
        let mut inflater = Inflater::new(&TAKEOVER);
        let first = inflater.inflate(payload, 1000).unwrap();
        // Whatever came before, the next message is understood.
        assert_eq!(inflater.inflate(&FINAL, 1000).unwrap(), b"Hello");
        first
    }

    #[test]
    fn a_final_block_ends_no_message() {
        assert_eq!(inflated(&FINAL), b"Hello");
        assert_eq!(inflated(&FINAL[..7]), b"Hello");
        let twice = [&FINAL[..7], &FINAL].concat();
        assert_eq!(inflated(&twice), b"HelloHello");
    }

    #[test]
    fn what_was_compressed_within_a_window_inflates_within_it() {
        let mut text = Vec::new();
        while text.len() < 100_000 {
            text.extend_from_slice(fastrand::u16(..2000).to_string().as_bytes());
        }
        for (level, bits) in (1..=9).flat_map(|level| (9..=15).map(move |bits| (level, bits))) {
            let settings = Deflate::default().level(level);
            let params = DeflateParams {
                server_max_window_bits: bits,
                client_max_window_bits: bits,
                ..TAKEOVER
            };
            let mut deflater = Deflater::new(&params, &settings);
            let mut inflater = Inflater::new(&params);
            for message in text.chunks(7_001) {
                let deflated = deflater.deflate(message).unwrap();
                assert_eq!(inflater.inflate(&deflated, 7_001).unwrap(), message);
            }
        }
    }
}
