//! The decoder takes any bytes without a panic, says the same however they are split, and keeps to
//! its limits.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lithe::ws::Message;
use lithe::ws::codec::{Decoder, DeflateParams, Inflater, Item, ProtocolError, Role};

const MAX_MESSAGE: usize = 64 * 1024;
const MAX_FRAME: usize = 16 * 1024;

#[derive(Arbitrary, Debug)]
struct Input {
    client: bool,
    /// Compression, with whether messages refer to earlier ones, and the window.
    deflate: Option<(bool, u8)>,
    /// The sizes of the pieces, repeated for as long as there is input.
    splits: Vec<u16>,
    bytes: Vec<u8>,
}

impl Input {
    fn decode(&self, pieces: &[Vec<u8>]) -> (Vec<Item>, Result<(), ProtocolError>) {
        let role = if self.client { Role::Client } else { Role::Server };
        let inflater = self.deflate.map(|(takeover, bits)| {
            Inflater::new(&DeflateParams {
                server_no_context_takeover: !takeover,
                client_no_context_takeover: !takeover,
                server_max_window_bits: 9 + bits % 7,
                client_max_window_bits: 9 + bits % 7,
            })
        });
        let mut decoder = Decoder::new(role, MAX_MESSAGE, MAX_FRAME).inflate(inflater);
        let mut items = Vec::new();
        for piece in pieces {
            if let Err(error) = decoder.decode(&mut piece.clone(), |item| items.push(item)) {
                return (items, Err(error));
            }
        }
        (items, Ok(()))
    }

    fn split(&self) -> Vec<Vec<u8>> {
        let mut rest = &self.bytes[..];
        let mut pieces = Vec::new();
        for size in self.splits.iter().cycle() {
            if rest.is_empty() || self.splits.iter().all(|&size| size == 0) {
                break;
            }
            let (piece, after) = rest.split_at(rest.len().min(usize::from(*size)));
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces.push(rest.to_vec());
        pieces
    }
}

fuzz_target!(|input: Input| {
    let whole = input.decode(std::slice::from_ref(&input.bytes));
    for item in &whole.0 {
        match item {
            Item::Message(Message::Text(text)) => assert!(text.len() <= MAX_MESSAGE),
            Item::Message(Message::Binary(bytes)) => assert!(bytes.len() <= MAX_MESSAGE),
            Item::Ping(payload) | Item::Pong(payload) => assert!(payload.len() <= 125),
            Item::Close(close) => {
                assert!(close.as_ref().is_none_or(|(_, reason)| reason.len() <= 123));
            }
        }
    }
    assert_eq!(input.decode(&input.split()), whole);
});
