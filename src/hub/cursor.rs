use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::position::EPOCH_BYTES;
use super::{ChannelName, Epoch, Interest, Position};

/// The longest cursor, in characters: it fits into the headers that proxies let through.
pub const MAX_CURSOR: usize = 8000;

/// What no position in hexadecimal digits begins with.
const VECTOR: char = 'v';
/// A vector of so many bytes is [`MAX_CURSOR`] characters long.
const MAX_VECTOR: usize = (MAX_CURSOR - 1) / 4 * 3;

const FINGERPRINT_BYTES: usize = 4;
/// How many bytes the longest [number](push_number) has.
const MAX_NUMBER: usize = 10;
const HAS_PATTERNS: u8 = 1;
const INCOMPLETE: u8 = 2;

/// Where a subscription stands in all of its channels, as one opaque text: the `id:` of an event
/// stream, and what a client presents to go on from there, by whichever transport.
///
/// For one channel it is the [`Position`] in it. For several it is a vector of positions in the
/// order of the subscription, which is bound to exactly these channels and patterns in this order.
/// Where patterns are among them it also says up to which of all publications of the hub their
/// channels were delivered, and names the channels of which that is not so: however many channels
/// match, it fits into [`MAX_CURSOR`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub(super) Content);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    One(Position),
    Many(Vector),
}

/// The positions of several channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vector {
    /// Of what was subscribed to, in its order.
    pub(super) fingerprint: u32,
    /// In the channels that were asked for by name, in the order of the subscription.
    pub(super) positions: Vec<Position>,
    pub(super) patterns: Option<Found>,
}

/// The positions in channels that were found by patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How many channels the hub had lost by then: which of those that are missing since were
    /// missed.
    pub(super) losses: Position,
    /// In all other channels than those named, all that has a number up to this one in the
    /// [sequence](super::sequence::Sequence) was delivered.
    pub(super) heard: u64,
    /// Of some it is not known, and they had no room.
    pub(super) incomplete: bool,
    pub(super) channels: Vec<(ChannelName, Position)>,
}

/// The text is not a cursor, or was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this hub: pass on what came with the last event, unchanged")]
pub struct CursorError;

/// A number for what is subscribed to, the same on every machine: FNV-1a over the names, with a
/// byte in between that is in none.
pub(super) fn fingerprint<'a>(interests: impl Iterator<Item = &'a Interest>) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for interest in interests {
        for byte in interest.as_str().bytes().chain([b'\n']) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    hash
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::One(position) => position.fmt(f),
            Content::Many(vector) => {
                write!(f, "{VECTOR}{}", URL_SAFE_NO_PAD.encode(vector.to_bytes()))
            }
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > MAX_CURSOR {
            return Err(CursorError);
        }
        let Some(vector) = text.strip_prefix(VECTOR) else {
            return Ok(Cursor(Content::One(text.parse().map_err(|_| CursorError)?)));
        };
        let bytes = URL_SAFE_NO_PAD.decode(vector).map_err(|_| CursorError)?;
        let vector = Vector::from_bytes(&bytes).ok_or(CursorError)?;
        Ok(Cursor(Content::Many(vector)))
    }
}

impl Found {
    /// How many bytes there are for the names of channels, beside the positions in others.
    pub(super) fn room(positions: &[Position]) -> usize {
        let positions = positions.iter().copied().map(position_len).sum::<usize>();
        let longest = 1 + FINGERPRINT_BYTES + EPOCH_BYTES + 3 * MAX_NUMBER;
        MAX_VECTOR.saturating_sub(longest + positions)
    }

    /// How many bytes the name of a channel takes, with the position in it.
    pub(super) fn channel_len(name: &ChannelName, position: Position) -> usize {
        1 + name.as_str().len() + position_len(position)
    }
}

impl Vector {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 10 * self.positions.len());
        out.push(0);
        out.extend_from_slice(&self.fingerprint.to_be_bytes());
        push_number(&mut out, self.positions.len() as u64);
        for position in &self.positions {
            push_position(&mut out, *position);
        }
        let Some(found) = &self.patterns else { return out };
        out[0] = HAS_PATTERNS;
        push_position(&mut out, found.losses);
        push_number(&mut out, found.heard);
        let mut incomplete = found.incomplete;
        for (name, position) in &found.channels {
            let end = out.len();
            out.push(name.as_str().len() as u8);
            out.extend_from_slice(name.as_str().as_bytes());
            push_position(&mut out, *position);
            if out.len() > MAX_VECTOR {
                out.truncate(end);
                incomplete = true;
                break;
            }
        }
        if incomplete {
            out[0] |= INCOMPLETE;
        }
        out
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let flags = take(&mut rest, 1)?[0];
        let fingerprint = u32::from_be_bytes(take(&mut rest, FINGERPRINT_BYTES)?.try_into().ok()?);
        let count = take_number(&mut rest)?;
        // Each takes some bytes, so what is claimed is bounded by what is there.
        let positions = (0..count).map(|_| take_position(&mut rest)).collect::<Option<Vec<_>>>()?;
        let patterns = match flags {
            0 => None,
            _ if flags & HAS_PATTERNS == 0 || flags > HAS_PATTERNS | INCOMPLETE => return None,
            _ => {
                let losses = take_position(&mut rest)?;
                let heard = take_number(&mut rest)?;
                let mut channels = Vec::new();
                while !rest.is_empty() {
                    let length = take(&mut rest, 1)?[0];
                    let name = str::from_utf8(take(&mut rest, length.into())?).ok()?;
                    channels.push((ChannelName::new(name).ok()?, take_position(&mut rest)?));
                }
                Some(Found { losses, heard, incomplete: flags & INCOMPLETE != 0, channels })
            }
        };
        rest.is_empty().then_some(Vector { fingerprint, positions, patterns })
    }
}

fn push_position(out: &mut Vec<u8>, position: Position) {
    out.extend_from_slice(&position.epoch.get().to_be_bytes()[8 - EPOCH_BYTES..]);
    push_number(out, position.offset);
}

fn position_len(position: Position) -> usize {
    let bits = u64::BITS - (position.offset | 1).leading_zeros();
    EPOCH_BYTES + bits.div_ceil(7) as usize
}

fn take_position(rest: &mut &[u8]) -> Option<Position> {
    let mut epoch = [0; 8];
    epoch[8 - EPOCH_BYTES..].copy_from_slice(take(rest, EPOCH_BYTES)?);
    let epoch = Epoch::new(u64::from_be_bytes(epoch))?;
    Some(Position { epoch, offset: take_number(rest)? })
}

/// LEB128: seven bits to the byte, the lowest first; the eighth says that there are more.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = take(rest, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests;
