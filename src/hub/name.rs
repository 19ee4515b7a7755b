use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name of a channel, in bytes.
pub const MAX_NAME: usize = 255;

/// The name of a channel: segments separated by dots, as in `builds.42.log`.
///
/// A segment is made of ASCII letters and digits, `-`, `_`, `:`, `@`, `~`, `+` and `=`, so that a
/// name needs no escaping in a URL's path, in JSON or in a key of Redis. All of it is at most
/// [`MAX_NAME`] bytes. Cloning is cheap.
///
/// ```
/// use lithe::hub::ChannelName;
///
/// let name: ChannelName = "builds.42.log".parse()?;
/// assert_eq!(name.segments().next(), Some("builds"));
/// assert!("builds..log".parse::<ChannelName>().is_err());
/// # Ok::<(), lithe::hub::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

/// Why a text is not the name of a channel, or not a pattern of such names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing in it.
    #[error("a channel's name cannot be empty")]
    Empty,
    /// It is longer than [`MAX_NAME`].
    #[error("a channel's name has at most {MAX_NAME} bytes, this one has {0}")]
    TooLong(usize),
    /// A dot stands at the beginning, at the end, or beside another one.
    #[error("a channel's name cannot have an empty segment: put one dot between two segments")]
    EmptySegment,
    /// It holds what no name may hold.
    #[error(
        "a channel's name cannot hold {0:?}; letters, digits and - _ : @ ~ + = may be in its segments"
    )]
    Character(char),
    /// A `*` is not all of its segment, or a `**` is not the last one.
    #[error("in a pattern `*` stands for one whole segment, and `**` for all that follow it")]
    Wildcard,
}

impl ChannelName {
    /// The first segment of the channels that the library itself uses.
    pub const RESERVED: &str = "lithe";

    /// The same as parsing it.
    ///
    /// # Errors
    ///
    /// What is wrong with the name.
    pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
        let name = name.as_ref();
        check_length(name)?;
        name.split('.').try_for_each(check_segment)?;
        Ok(ChannelName(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is between the dots, at least one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether it is one of the channels that the library itself uses.
    pub(super) fn is_reserved(&self) -> bool {
        self.segments().next() == Some(Self::RESERVED)
    }
}

pub(super) fn check_length(name: &str) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty),
        1..=MAX_NAME => Ok(()),
        bytes => Err(NameError::TooLong(bytes)),
    }
}

pub(super) fn check_segment(segment: &str) -> Result<(), NameError> {
    let refused = |c: &char| !c.is_ascii_alphanumeric() && !"-_:@~+=".contains(*c);
    match segment.chars().find(refused) {
        Some(character) => Err(NameError::Character(character)),
        None if segment.is_empty() => Err(NameError::EmptySegment),
        None => Ok(()),
    }
}

impl FromStr for ChannelName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        ChannelName::new(name)
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_segments_between_dots() {
        let name = ChannelName::new("logs.42.a-b_c:d@e~f+g=").unwrap();
        assert_eq!(name.segments().collect::<Vec<_>>(), ["logs", "42", "a-b_c:d@e~f+g="]);
        assert_eq!(name.to_string(), "logs.42.a-b_c:d@e~f+g=");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let error = |name: &str| ChannelName::new(name).unwrap_err();
        assert_eq!(error(""), NameError::Empty);
        assert_eq!(error("a..b"), NameError::EmptySegment);
        assert_eq!(error(".a"), NameError::EmptySegment);
        assert_eq!(error("a."), NameError::EmptySegment);
        assert_eq!(error("a b"), NameError::Character(' '));
        assert_eq!(error("a.*"), NameError::Character('*'));
        assert_eq!(error("a\n"), NameError::Character('\n'));
        assert_eq!(error("größe"), NameError::Character('ö'));
        assert_eq!(error(&"a".repeat(256)), NameError::TooLong(256));
        assert!(ChannelName::new("a".repeat(255)).is_ok());
    }
}
