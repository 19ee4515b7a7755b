//! What one end encodes, the other decodes: any messages, in any fragments, compressed or not, with
//! control frames between them.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lithe::ws::Message;
use lithe::ws::codec::{
    CloseCode, Decoder, Deflate, DeflateParams, Deflater, Encoder, Inflater, Item, Role,
};

#[derive(Arbitrary, Debug)]
struct Conversation {
    from_client: bool,
    fragment_size: Option<u16>,
    deflate: Option<Compression>,
    sent: Vec<Sent>,
    close: Option<(u16, String)>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Compression {
    level: u8,
    window_bits: u8,
    context_takeover: bool,
    threshold: u16,
}

#[derive(Arbitrary, Debug)]
enum Sent {
    Text(String),
    Binary(Vec<u8>),
    /// A byte, repeated: what compresses well.
    Run(u8, u16),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fuzz_target!(|conversation: Conversation| {
    let (sender, receiver) = match conversation.from_client {
        true => (Role::Client, Role::Server),
        false => (Role::Server, Role::Client),
    };
    let (mut deflater, inflater) = conversation.deflate.map(compression).unzip();
    let mut encoder = Encoder::new(sender);
    if let Some(size) = conversation.fragment_size {
        encoder = encoder.fragment_size(size.into());
    }

    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for sent in &conversation.sent {
        let (text, payload) = match sent {
            Sent::Text(text) => {
                expected.push(Item::Message(Message::from(text.clone())));
                (true, text.as_bytes().to_vec())
            }
            Sent::Binary(payload) => {
                expected.push(Item::Message(Message::from(payload.clone())));
                (false, payload.clone())
            }
            Sent::Run(byte, len) => {
                let payload = vec![*byte; usize::from(*len)];
                expected.push(Item::Message(Message::from(payload.clone())));
                (false, payload)
            }
            Sent::Ping(payload) => {
                let payload = &payload[..payload.len().min(125)];
                encoder.ping(payload, &mut bytes);
                expected.push(Item::Ping(payload.to_vec().into()));
                continue;
            }
            Sent::Pong(payload) => {
                let payload = &payload[..payload.len().min(125)];
                encoder.pong(payload, &mut bytes);
                expected.push(Item::Pong(payload.to_vec().into()));
                continue;
            }
        };
        let wanted = deflater.as_mut().filter(|deflater| deflater.wants(payload.len()));
        match wanted.and_then(|deflater| deflater.deflate(&payload)) {
            Some(deflated) => encoder.message(text, true, &deflated, &mut bytes),
            None => encoder.message(text, false, &payload, &mut bytes),
        }
    }
    if let Some((code, reason)) = &conversation.close {
        // Codes that may be on the wire (RFC 6455 §7.4).
        let code = CloseCode::from(3000 + code % 2000);
        let reason = &reason[..reason.floor_char_boundary(123)];
        encoder.close(Some((code, reason)), &mut bytes);
        expected.push(Item::Close(Some((code, reason.to_owned().into()))));
    }

    let mut decoder = Decoder::new(receiver, 1 << 20, 1 << 20).inflate(inflater);
    let mut received = Vec::new();
    decoder.decode(&mut bytes, |item| received.push(item)).expect("what we encode is valid");
    assert_eq!(received, expected);
});

fn compression(settings: Compression) -> (Deflater, Inflater) {
    let window_bits = 9 + settings.window_bits % 7;
    let params = DeflateParams {
        server_no_context_takeover: !settings.context_takeover,
        client_no_context_takeover: !settings.context_takeover,
        server_max_window_bits: window_bits,
        client_max_window_bits: window_bits,
    };
    let deflate = Deflate::default()
        .level(settings.level)
        .window_bits(window_bits)
        .context_takeover(settings.context_takeover)
        .threshold(settings.threshold.into());
    (Deflater::new(&params, &deflate), Inflater::new(&params))
}
