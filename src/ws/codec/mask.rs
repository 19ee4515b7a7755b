/// Applies a mask in place (RFC 6455 §5.3); the same again takes it off. `offset` is how many
/// bytes of the payload came before these.
pub(super) fn apply(payload: &mut [u8], mut mask: [u8; 4], offset: usize) {
    mask.rotate_left(offset % 4);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition_however_it_is_split(
            payload in prop::collection::vec(any::<u8>(), 0..100), mask: [u8; 4], split: prop::sample::Index,
        ) {
            let expected: Vec<u8> =
                payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
            let split = split.index(payload.len() + 1);
            let mut masked = payload;
            let (left, right) = masked.split_at_mut(split);
            super::apply(left, mask, 0);
            super::apply(right, mask, split);
            prop_assert_eq!(masked, expected);
        }
    }
}
