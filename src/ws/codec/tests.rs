//! The codec against tungstenite as an oracle, and against what RFC 6455 forbids.

use std::io::{Cursor, Read, Write};

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Role as WireRole, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as Wire, WebSocket};

use super::*;
use crate::ws::Message;

const LIMIT: usize = 1 << 20;

/// One end of a connection whose other end is a test.
#[derive(Default)]
struct Pipe {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.input.read(buf)? {
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.output.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn oracle(role: WireRole, input: Vec<u8>) -> WebSocket<Pipe> {
    let pipe = Pipe { input: Cursor::new(input), output: Vec::new() };
    WebSocket::from_raw_socket(pipe, role, Some(WebSocketConfig::default()))
}

fn decode(
    decoder: &mut Decoder,
    bytes: &[u8],
    splits: &[usize],
) -> Result<Vec<Item>, ProtocolError> {
    let mut items = Vec::new();
    let mut rest = bytes;
    let mut splits = splits.iter().copied().cycle();
    while !rest.is_empty() {
        let next = splits.next().unwrap_or(usize::MAX).clamp(1, rest.len());
        let (piece, after) = rest.split_at(next);
        decoder.decode(&mut piece.to_vec(), |item| items.push(item))?;
        rest = after;
    }
    Ok(items)
}

fn server() -> Decoder {
    Decoder::new(Role::Server, LIMIT, LIMIT)
}

fn message() -> impl Strategy<Value = Message> {
    let sizes = prop_oneof![0..130usize, 65_530..65_540usize, 0..5_000usize];
    prop_oneof![
        ".{0,200}".prop_map(Message::from),
        sizes.prop_map(|len| Message::from((0..len).map(|i| i as u8).collect::<Vec<_>>())),
    ]
}

fn wire(message: &Message) -> Wire {
    match message {
        Message::Text(text) => Wire::Text(text.clone()),
        Message::Binary(bytes) => Wire::Binary(bytes.clone()),
    }
}

proptest! {
    #[test]
    fn what_tungstenite_sends_is_understood_in_any_split(
        messages in prop::collection::vec(message(), 1..6),
        pings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=125), 0..3),
        splits in prop::collection::vec(1usize..5_000, 1..8),
    ) {
        let mut client = oracle(WireRole::Client, Vec::new());
        let mut expected = Vec::new();
        for message in &messages {
            client.write(wire(message)).unwrap();
            expected.push(Item::Message(message.clone()));
        }
        for ping in pings {
            client.write(Wire::Ping(ping.clone().into())).unwrap();
            expected.push(Item::Ping(ping.into()));
        }
        client.flush().unwrap();
        let items = decode(&mut server(), &client.get_ref().output, &splits).unwrap();
        prop_assert_eq!(items, expected);
    }

    #[test]
    fn what_is_sent_is_understood_by_tungstenite(
        messages in prop::collection::vec(message(), 1..6), fragment in 1usize..3_000, client: bool,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let encoder = Encoder::new(role).fragment_size(fragment);
        let mut out = Vec::new();
        for message in &messages {
            encoder.message(message.is_text(), false, message.as_bytes(), &mut out);
            encoder.ping(b"between", &mut out);
        }
        encoder.close(Some((CloseCode::Away, "bye")), &mut out);
        let mut peer = oracle(if client { WireRole::Server } else { WireRole::Client }, out);
        for message in &messages {
            prop_assert_eq!(peer.read().unwrap(), wire(message));
            prop_assert_eq!(peer.read().unwrap(), Wire::Ping("between".into()));
        }
        let Wire::Close(Some(close)) = peer.read().unwrap() else { panic!("no close frame") };
        prop_assert_eq!((u16::from(close.code), close.reason.as_str()), (1001, "bye"));
    }

    #[test]
    fn fragments_with_control_frames_between_them_make_one_message(
        text in ".{0,300}", cuts in prop::collection::vec(0usize..300, 0..5),
        splits in prop::collection::vec(1usize..40, 1..5),
    ) {
        // Cuts fall inside characters as well.
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        let mut opcode = Data::Text;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            push_frame(&mut bytes, OpCode::Data(opcode), false, piece);
            push_frame(&mut bytes, OpCode::Control(Control::Ping), true, b"!");
            (rest, opcode) = (after, Data::Continue);
        }
        push_frame(&mut bytes, OpCode::Data(opcode), true, rest);
        let mut items = decode(&mut server(), &bytes, &splits).unwrap();
        prop_assert_eq!(items.pop(), Some(Item::Message(Message::from(text))));
        prop_assert!(items.iter().all(|item| *item == Item::Ping("!".into())));
    }

    #[test]
    fn random_bytes_never_panic_and_never_grow_past_the_limit(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        splits in prop::collection::vec(1usize..100, 1..5),
    ) {
        let mut decoder = Decoder::new(Role::Server, 500, 500);
        if let Ok(items) = decode(&mut decoder, &bytes, &splits) {
            for item in items {
                if let Item::Message(message) = item {
                    prop_assert!(message.len() <= 500);
                }
            }
        }
    }

    #[test]
    fn what_is_left_is_decoded_later(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20),
    ) {
        let (encoder, mut input) = (Encoder::new(Role::Client), Vec::new());
        for payload in &payloads {
            encoder.message(false, false, payload, &mut input);
            encoder.ping(b"?", &mut input);
        }
        let mut whole = Vec::new();
        server().decode(&mut input.clone(), |item| whole.push(item)).unwrap();
        let (mut decoder, mut items, mut rest) = (server(), Vec::new(), &mut input[..]);
        while !rest.is_empty() {
            let count = items.len();
            let left = decoder.decode_until(rest, |item| {
                items.push(item);
                std::ops::ControlFlow::Break(())
            }).unwrap();
            prop_assert_eq!(items.len(), count + 1);
            let at = rest.len() - left;
            rest = &mut rest[at..];
        }
        prop_assert_eq!(items, whole);
    }

    #[test]
    fn the_verdict_does_not_depend_on_the_split(
        bytes in prop::collection::vec(prop_oneof![Just(0x81u8), Just(0x80), Just(0x01), any::<u8>()], 0..300),
        splits in prop::collection::vec(1usize..20, 1..5),
    ) {
        let whole = decode(&mut server(), &bytes, &[usize::MAX]);
        let split = decode(&mut server(), &bytes, &splits);
        match (whole, split) {
            (Ok(whole), Ok(split)) => prop_assert_eq!(whole, split),
            // Invalid text may be seen before the end of its frame has come.
            (Err(_), Err(_)) => {}
            (whole, split) => prop_assert!(
                false, "whole: {:?}, split: {:?}", whole, split
            ),
        }
    }
}

/// Appends a frame as a client would send it.
fn push_frame(out: &mut Vec<u8>, opcode: OpCode, is_final: bool, payload: &[u8]) {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let header = FrameHeader { is_final, opcode, mask: Some(mask), ..FrameHeader::default() };
    header.format(payload.len() as u64, out).unwrap();
    let start = out.len();
    out.extend_from_slice(payload);
    super::mask::apply(&mut out[start..], mask, 0);
}

fn verdict(bytes: &[u8]) -> Result<Vec<Item>, ProtocolError> {
    decode(&mut server(), bytes, &[usize::MAX])
}

#[test]
fn forbidden_frames_are_refused() {
    use ProtocolError::*;
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    };
    for (frame, error) in [
        (vec![0x81, 0x00], Masking),
        (masked(0x83, b""), ReservedOpcode),
        (masked(0x8b, b""), ReservedOpcode),
        (masked(0xc1, b""), ReservedBit),
        (masked(0xa1, b""), ReservedBit),
        (masked(0xc9, b""), ReservedBit),
        (masked(0x09, b""), Control),
        (vec![0x89, 0xfe, 0, 126, 0, 0, 0, 0], Control),
        (masked(0x80, b""), FrameOrder),
        ([masked(0x01, b"a"), masked(0x81, b"b")].concat(), FrameOrder),
        (masked(0x88, b"x"), Close),
        (masked(0x88, &999u16.to_be_bytes()), Close),
        (masked(0x88, &1005u16.to_be_bytes()), Close),
        (masked(0x88, &1006u16.to_be_bytes()), Close),
        (masked(0x88, &2999u16.to_be_bytes()), Close),
        (masked(0x88, &[0x03, 0xe8, 0xff]), Utf8),
        (masked(0x81, &[0xff]), Utf8),
        (vec![0x81, 0xfe, 0, 125, 0, 0, 0, 0], Length),
        (vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Length),
        (vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0], TooLarge),
    ] {
        assert_eq!(verdict(&frame), Err(error), "{frame:02x?}");
    }
}

#[test]
fn invalid_text_is_refused_before_its_frame_is_complete() {
    let mut frame = vec![0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0];
    frame.extend_from_slice(b"good so far \xff");
    assert_eq!(verdict(&frame), Err(ProtocolError::Utf8));
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header_and_across_fragments() {
    let mut decoder = Decoder::new(Role::Server, 10, 8);
    let mut bytes = Vec::new();
    push_frame(&mut bytes, OpCode::Data(Data::Binary), false, b"12345678");
    push_frame(&mut bytes, OpCode::Data(Data::Continue), true, b"901");
    assert_eq!(decode(&mut decoder, &bytes, &[usize::MAX]), Err(ProtocolError::TooLarge));
    let mut decoder = Decoder::new(Role::Server, 10, 8);
    assert_eq!(
        decode(&mut decoder, &[0x82, 0x89, 0, 0, 0, 0], &[usize::MAX]),
        Err(ProtocolError::TooLarge)
    );
}

#[test]
fn nothing_is_decoded_after_a_close_frame() {
    let mut bytes = Vec::new();
    push_frame(&mut bytes, OpCode::Control(Control::Close), true, &[]);
    push_frame(&mut bytes, OpCode::Data(Data::Text), true, b"late");
    bytes.push(0xff);
    assert_eq!(verdict(&bytes), Ok(vec![Item::Close(None)]));
}

#[test]
fn a_reason_is_cut_at_a_character() {
    let mut out = Vec::new();
    Encoder::new(Role::Server).close(Some((CloseCode::Normal, &"é".repeat(100))), &mut out);
    assert_eq!(out.len(), 2 + 2 + 122);
    let frame = Frame::from_payload(FrameHeader::default(), out[4..].to_vec().into());
    assert!(frame.to_text().is_ok());
}

#[cfg(feature = "deflate")]
mod deflate {
    use super::*;

    const TAKEOVER: DeflateParams = DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 12,
        client_max_window_bits: 12,
    };
    const ALONE: DeflateParams = DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..TAKEOVER
    };

    proptest! {
        #[test]
        fn messages_survive_compression(
            messages in prop::collection::vec(prop::collection::vec(0u8..8, 0..6_000), 1..5),
            takeover: bool, level in 1u8..10,
        ) {
            let params = if takeover { TAKEOVER } else { ALONE };
            let mut deflater = Deflater::new(&params, &Deflate::default().level(level));
            let mut inflater = Inflater::new(&params);
            for message in messages {
                if let Some(deflated) = deflater.deflate(&message) {
                    prop_assert_eq!(inflater.inflate(&deflated, 6_000).unwrap(), message);
                }
            }
        }

        #[test]
        fn random_compressed_data_is_refused_or_bounded(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(inflated) = Inflater::new(&ALONE).inflate(&bytes, 1_000) {
                prop_assert!(inflated.len() <= 1_000);
            }
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = Deflater::new(&ALONE, &Deflate::default()).deflate(&vec![0; 10 << 20]).unwrap();
        assert!(bomb.len() < 100_000);
        let inflated = Inflater::new(&ALONE).inflate(&bomb, 1 << 20);
        assert_eq!(inflated, Err(ProtocolError::TooLarge));
    }

    #[test]
    fn similar_messages_get_smaller_with_context_takeover() {
        let message = b"{\"kind\":\"tick\",\"price\":1234,\"symbol\":\"LITHE\"}";
        let mut deflater = Deflater::new(&TAKEOVER, &Deflate::default());
        let first = deflater.deflate(message).unwrap().len();
        let second = deflater.deflate(message).unwrap().len();
        assert!(second < first / 3, "{first} and then {second}");
    }

    #[test]
    fn a_broadcast_between_messages_with_context_is_understood() {
        let mut deflater = Deflater::new(&TAKEOVER, &Deflate::default());
        let mut inflater = Inflater::new(&TAKEOVER);
        let text = b"the same words again and again, the same words".repeat(3);
        let own = deflater.deflate(&text).unwrap();
        assert_eq!(inflater.inflate(&own, LIMIT).unwrap(), text);
        let broadcast = deflate_alone(deflater.key(), &text).unwrap();
        deflater.reset();
        assert_eq!(inflater.inflate(&broadcast, LIMIT).unwrap(), text);
        let own = deflater.deflate(&text).unwrap();
        assert_eq!(inflater.inflate(&own, LIMIT).unwrap(), text);
    }

    #[test]
    fn offers_are_met_or_declined() {
        let settings = Deflate::default().context_takeover(true);
        let answer = |offer| negotiate(offer, &settings).map(|(_, answer)| answer);
        for (offer, expected) in [
            ("permessage-deflate", Some("permessage-deflate")),
            ("x-webkit-deflate-frame", None),
            ("x-unknown, permessage-deflate", Some("permessage-deflate")),
            ("permessage-deflate; client_max_window_bits", Some("permessage-deflate")),
            (
                "permessage-deflate; client_max_window_bits=10",
                Some("permessage-deflate; client_max_window_bits=10"),
            ),
            (
                "permessage-deflate; server_max_window_bits=\"10\"",
                Some("permessage-deflate; server_max_window_bits=10"),
            ),
            (
                "permessage-deflate; server_no_context_takeover",
                Some("permessage-deflate; server_no_context_takeover"),
            ),
            ("permessage-deflate; server_max_window_bits=8", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; server_max_window_bits=010", None),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
            ("permessage-deflate; unknown", None),
            (
                "permessage-deflate; server_max_window_bits=8, permessage-deflate",
                Some("permessage-deflate"),
            ),
        ] {
            assert_eq!(answer(offer).as_deref(), expected, "{offer}");
        }
        assert_eq!(
            negotiate("permessage-deflate; client_max_window_bits", &Deflate::default()).unwrap().1,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        );
    }
}
