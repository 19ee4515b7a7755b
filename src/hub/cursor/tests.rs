use proptest::prelude::*;

use super::*;

fn position() -> impl Strategy<Value = Position> {
    let offset = prop_oneof![0..200u64, any::<u64>()];
    (1..1u64 << 48, offset)
        .prop_map(|(epoch, offset)| Position { epoch: Epoch::new(epoch).unwrap(), offset })
}

fn found() -> impl Strategy<Value = Found> {
    let name = "[a-z]{1,9}(\\.[a-z0-9]{1,9}){0,3}";
    let name = name.prop_map(|name| ChannelName::new(name).unwrap());
    let channels = prop::collection::vec((name, position()), 0..20);
    (position(), any::<u64>(), any::<bool>(), channels).prop_map(
        |(losses, heard, incomplete, channels)| Found { losses, heard, incomplete, channels },
    )
}

fn cursor() -> impl Strategy<Value = Cursor> {
    let vector =
        (any::<u32>(), prop::collection::vec(position(), 0..40), prop::option::of(found()));
    let vector = vector.prop_map(|(fingerprint, positions, patterns)| {
        Content::Many(Vector { fingerprint, positions, patterns })
    });
    prop_oneof![position().prop_map(Content::One), vector].prop_map(Cursor)
}

proptest! {
    #[test]
    fn a_cursor_reads_as_it_is_written(cursor in cursor()) {
        let text = cursor.to_string();
        prop_assert!(text.len() <= MAX_CURSOR);
        prop_assert_eq!(text.parse(), Ok(cursor));
    }

    #[test]
    fn a_cursor_that_was_cut_short_is_never_a_longer_one(
        cursor in cursor(),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = cursor.to_string();
        let cut = &text[..cut.index(text.len())];
        if let Ok(Cursor(Content::Many(vector))) = cut.parse() {
            let Content::Many(whole) = cursor.0 else { panic!("{cut} became a vector") };
            prop_assert_eq!(vector.positions, whole.positions);
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,200}", bytes in any::<Vec<u8>>()) {
        let _ = text.parse::<Cursor>();
        let vector = format!("v{}", URL_SAFE_NO_PAD.encode(&bytes));
        if let Ok(cursor) = vector.parse::<Cursor>() {
            // Numbers may have been written with more bytes than they need, so the text may differ.
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}

#[test]
fn a_cursor_of_one_channel_is_its_position() {
    let position = Position { epoch: Epoch::new(0x9f3a).unwrap(), offset: 42 };
    assert_eq!(Cursor(Content::One(position)).to_string(), "9f3a-42");
    assert_eq!("9f3a-42".parse(), Ok(Cursor(Content::One(position))));
}

#[test]
fn a_cursor_that_claims_more_than_it_holds_is_refused() {
    let mut bytes = vec![0; 1 + FINGERPRINT_BYTES];
    push_number(&mut bytes, u64::MAX);
    assert_eq!(Vector::from_bytes(&bytes), None);
    assert!("v".repeat(MAX_CURSOR + 1).parse::<Cursor>().is_err());
}

#[test]
fn channels_that_have_no_room_are_left_out_and_that_is_said() {
    let position = Position { epoch: Epoch::random(), offset: 1 };
    let channels: Vec<_> =
        (0..1000).map(|n| (ChannelName::new(format!("logs.{n}")).unwrap(), position)).collect();
    let found = Found { losses: position, heard: 9, incomplete: false, channels: channels.clone() };
    let vector = Vector { fingerprint: 7, positions: vec![position], patterns: Some(found) };
    let text = Cursor(Content::Many(vector)).to_string();
    assert!(text.len() <= MAX_CURSOR);
    let Ok(Cursor(Content::Many(vector))) = text.parse() else { panic!("{text}") };
    let found = vector.patterns.unwrap();
    assert!(found.incomplete);
    assert!(!found.channels.is_empty() && channels.starts_with(&found.channels));
}

#[test]
fn so_many_channels_are_named_as_there_is_room_for() {
    let position = |offset| Position { epoch: Epoch::random(), offset };
    for named in [0, 1, 256] {
        let positions: Vec<_> = (0..named).map(|n| position(1 << (n % 64))).collect();
        let room = Found::room(&positions);
        let mut left = room;
        let mut channels = Vec::new();
        for n in 0..64 {
            let channel = (ChannelName::new(format!("{n:090}")).unwrap(), position(u64::MAX >> n));
            let Some(less) = left.checked_sub(Found::channel_len(&channel.0, channel.1)) else {
                break;
            };
            left = less;
            channels.push(channel);
        }
        assert!(left < 110, "{left} of {room}");
        let found =
            Found { losses: position(u64::MAX), heard: u64::MAX, incomplete: false, channels };
        let vector = Vector { fingerprint: 7, positions, patterns: Some(found) };
        let cursor = Cursor(Content::Many(vector));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}

#[test]
fn the_fingerprint_tells_lists_apart() {
    let of = |names: &[&str]| {
        let interests: Vec<Interest> = names.iter().map(|name| name.parse().unwrap()).collect();
        fingerprint(interests.iter())
    };
    assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    assert_ne!(of(&["a", "b"]), of(&["a"]));
    assert_ne!(of(&["ab"]), of(&["a", "b"]));
    assert_ne!(of(&["a.*"]), of(&["a.b"]));
}
