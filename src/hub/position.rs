use std::fmt;
use std::num::{NonZeroU64, ParseIntError};
use std::str::FromStr;

/// The number of a publication in its channel's log. The first is 1, each one after it 1 more.
pub type Offset = u64;

/// Which log of a channel an [`Offset`] counts in. A new one is drawn whenever a log is begun,
/// so that positions in a log that was lost are not taken for positions in its successor.
///
/// It is a random number of 48 bits and never 0: few enough for JavaScript's numbers, and too many
/// for two logs of a channel to share one by chance. As text it is in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(NonZeroU64);

/// How many bytes hold an epoch.
pub(super) const EPOCH_BYTES: usize = 6;

const MAX_EPOCH: u64 = (1 << (8 * EPOCH_BYTES)) - 1;

impl Epoch {
    /// The epoch of that number, unless it is 0 or has more than 48 bits.
    pub fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).filter(|number| number.get() <= MAX_EPOCH).map(Epoch)
    }

    /// Draws one.
    pub(super) fn random() -> Self {
        Epoch(NonZeroU64::new(fastrand::u64(1..MAX_EPOCH)).unwrap_or(NonZeroU64::MIN))
    }

    /// The epoch as a number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in the log of a channel: right after the publication with that offset. Offset 0 is the
/// beginning of the log.
///
/// As text it is `<epoch>-<offset>`, as in `9f3a61c20b7e-42`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which log.
    pub epoch: Epoch,
    /// The last publication before this place.
    pub offset: Offset,
}

/// The text is not `<epoch>-<offset>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position is an epoch in hexadecimal digits, a hyphen and an offset in decimal digits")]
pub struct PositionError;

impl Position {
    /// In no log: no epoch is drawn like that. Whoever presents it is told of a gap.
    pub(super) const NOWHERE: Position = match NonZeroU64::new(MAX_EPOCH) {
        Some(epoch) => Position { epoch: Epoch(epoch), offset: 0 },
        None => unreachable!(),
    };
}

impl From<ParseIntError> for PositionError {
    fn from(_: ParseIntError) -> Self {
        PositionError
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (epoch, offset) = text.split_once('-').ok_or(PositionError)?;
        // Without this "+5" would be a number too.
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits(epoch) || !digits(offset) {
            return Err(PositionError);
        }
        let epoch = Epoch::new(u64::from_str_radix(epoch, 16)?).ok_or(PositionError)?;
        Ok(Position { epoch, offset: offset.parse()? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_as_they_are_written() {
        for offset in [0, 1, u64::MAX] {
            let position = Position { epoch: Epoch::random(), offset };
            assert_eq!(position.to_string().parse(), Ok(position));
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in ["", "-", "1-", "-1", "0-1", "g-1", "1-a", "+1-1", "1-+1", "1-1-1", "1 - 1"] {
            assert_eq!(text.parse::<Position>(), Err(PositionError), "{text:?}");
        }
        assert!("1000000000000-1".parse::<Position>().is_err());
        assert!("1-18446744073709551616".parse::<Position>().is_err());
    }

    #[test]
    fn epochs_fit_into_the_numbers_of_javascript() {
        assert!(Epoch::new(MAX_EPOCH).is_some());
        assert!(Epoch::new(MAX_EPOCH + 1).is_none());
        assert!(Epoch::new(0).is_none());
        assert!((0..1000).all(|_| Epoch::random().get() < 1 << 53));
    }
}
