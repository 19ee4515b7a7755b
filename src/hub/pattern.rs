use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::name::{check_length, check_segment};
use super::{ChannelName, NameError};

/// A set of channels by their names: `*` stands for any one segment, `**` at the end for one or
/// more.
///
/// ```
/// use lithe::hub::{ChannelName, Pattern};
///
/// let one: Pattern = "logs.*.build".parse()?;
/// let tail: Pattern = "logs.**".parse()?;
/// let channel: ChannelName = "logs.42.build".parse()?;
/// assert!(one.matches(&channel) && tail.matches(&channel));
/// assert!(!tail.matches(&"logs".parse()?));
/// # Ok::<(), lithe::hub::NameError>(())
/// ```
///
/// A pattern may do without wildcards; then it matches the one channel of that name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

impl Pattern {
    /// The same as parsing it.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern.
    pub fn new(pattern: impl AsRef<str>) -> Result<Self, NameError> {
        let pattern = pattern.as_ref();
        check_length(pattern)?;
        let mut segments = pattern.split('.').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "*" => {}
                "**" if segments.peek().is_none() => {}
                _ if segment.contains('*') => return Err(NameError::Wildcard),
                _ => check_segment(segment)?,
            }
        }
        Ok(Pattern(pattern.into()))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a channel belongs to the set. The channels of the library itself, whose first
    /// segment is [`ChannelName::RESERVED`], belong to none that does not name that segment.
    pub fn matches(&self, channel: &ChannelName) -> bool {
        let mut names = channel.segments();
        if self.0.starts_with('*') && channel.is_reserved() {
            return false;
        }
        for segment in self.0.split('.') {
            match (segment, names.next()) {
                (_, None) => return false,
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (segment, Some(name)) if segment == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether all channels of another pattern belong to the set.
    fn contains(&self, other: &Pattern) -> bool {
        let mut others = other.0.split('.');
        for segment in self.0.split('.') {
            match (segment, others.next()) {
                (_, None) => return false,
                ("**", Some(_)) => return true,
                (_, Some("**")) => return false,
                ("*", Some(_)) => {}
                (segment, Some(other)) if segment == other => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }

    /// The channel, if there is no wildcard.
    pub(super) fn as_channel(&self) -> Option<ChannelName> {
        ChannelName::new(&self.0).ok()
    }

    /// What makes one pattern more specific than another that matches the same channel: more
    /// segments that are no wildcard, then more segments, then `*` before `**`.
    pub(super) fn specificity(&self) -> (usize, usize, bool) {
        let wildcards = self.0.split('.').filter(|segment| segment.starts_with('*')).count();
        let segments = self.0.split('.').count();
        (segments - wildcards, segments, !self.0.ends_with("**"))
    }
}

impl FromStr for Pattern {
    type Err = NameError;

    fn from_str(pattern: &str) -> Result<Self, NameError> {
        Pattern::new(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What a subscription asks for: one channel, or all channels of a pattern, also those that come
/// into being later.
///
/// ```
/// use lithe::hub::Interest;
///
/// assert!(matches!("logs.42".parse()?, Interest::Channel(_)));
/// assert!(matches!("logs.*".parse()?, Interest::Pattern(_)));
/// # Ok::<(), lithe::hub::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// One channel.
    Channel(ChannelName),
    /// All channels of a pattern.
    Pattern(Pattern),
}

impl Interest {
    /// The channel's name, or the pattern.
    pub fn as_str(&self) -> &str {
        match self {
            Interest::Channel(name) => name.as_str(),
            Interest::Pattern(pattern) => pattern.as_str(),
        }
    }

    /// Whether a channel is among those asked for.
    pub fn covers(&self, channel: &ChannelName) -> bool {
        match self {
            Interest::Channel(name) => name == channel,
            Interest::Pattern(pattern) => pattern.matches(channel),
        }
    }

    /// Whether all channels of another one are among those asked for.
    ///
    /// ```
    /// use lithe::hub::Interest;
    ///
    /// let all: Interest = "logs.**".parse()?;
    /// assert!(all.contains(&"logs.*.build".parse()?) && all.contains(&"logs.42".parse()?));
    /// assert!(!all.contains(&"*.42".parse()?));
    /// # Ok::<(), lithe::hub::NameError>(())
    /// ```
    pub fn contains(&self, other: &Interest) -> bool {
        match (self, other) {
            (interest, Interest::Channel(name)) => interest.covers(name),
            (Interest::Pattern(pattern), Interest::Pattern(other)) => pattern.contains(other),
            (Interest::Channel(_), Interest::Pattern(_)) => false,
        }
    }

    /// Whether there may be a channel that both ask for.
    ///
    /// ```
    /// use lithe::hub::Interest;
    ///
    /// let rooms: Interest = "rooms.*".parse()?;
    /// assert!(rooms.overlaps(&"*.42".parse()?) && rooms.overlaps(&"rooms.42".parse()?));
    /// assert!(!rooms.overlaps(&"rooms.*.log".parse()?));
    /// # Ok::<(), lithe::hub::NameError>(())
    /// ```
    pub fn overlaps(&self, other: &Interest) -> bool {
        let is_open = |interest: &Interest| interest.as_str().starts_with('*');
        if self.is_reserved() && is_open(other) || other.is_reserved() && is_open(self) {
            return false;
        }
        let (mut ours, mut theirs) = (self.as_str().split('.'), other.as_str().split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some("**"), Some(_)) | (Some(_), Some("**")) => return true,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(ours), Some(theirs)) if ours == theirs => {}
                _ => return false,
            }
        }
    }

    /// Whether it is about channels of the library itself, which no client may use.
    pub fn is_reserved(&self) -> bool {
        self.as_str().split('.').next() == Some(ChannelName::RESERVED)
    }
}

impl From<ChannelName> for Interest {
    fn from(name: ChannelName) -> Self {
        Interest::Channel(name)
    }
}

impl From<Pattern> for Interest {
    /// A pattern without wildcards is the channel of that name.
    fn from(pattern: Pattern) -> Self {
        match pattern.as_channel() {
            Some(name) => Interest::Channel(name),
            None => Interest::Pattern(pattern),
        }
    }
}

impl FromStr for Interest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Ok(Pattern::new(text)?.into())
    }
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, channel: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(&ChannelName::new(channel).unwrap())
    }

    #[test]
    fn a_star_is_one_segment() {
        assert!(matches("logs.42.*", "logs.42.build"));
        assert!(matches("*.42", "logs.42"));
        assert!(!matches("logs.*", "logs"));
        assert!(!matches("logs.*", "logs.42.build"));
        assert!(!matches("logs.*", "log.42"));
    }

    #[test]
    fn two_stars_are_the_tail() {
        assert!(matches("logs.**", "logs.42"));
        assert!(matches("logs.**", "logs.42.build.7"));
        assert!(matches("**", "logs"));
        assert!(matches("*.build.**", "logs.build.7"));
        assert!(!matches("logs.**", "logs"));
        assert!(!matches("logs.**", "logbook.42"));
    }

    #[test]
    fn no_wildcard_finds_the_channels_of_the_library() {
        for pattern in ["**", "*.**", "*.revocations"] {
            assert!(!matches(pattern, "lithe.revocations"), "{pattern}");
        }
        assert!(matches("lithe.**", "lithe.revocations"));
        assert!(matches("**", "lithely.a"));
    }

    #[test]
    fn a_pattern_contains_another_when_it_has_all_of_its_channels() {
        let contains = |all: &str, some: &str| {
            all.parse::<Interest>().unwrap().contains(&some.parse().unwrap())
        };
        for (all, some) in [("**", "*"), ("a.**", "a.*.b.**"), ("a.*", "a.*"), ("*.*", "a.*")] {
            assert!(contains(all, some), "{all} {some}");
        }
        for (all, some) in
            [("*", "**"), ("a.*", "a.**"), ("a.*", "a.*.*"), ("a", "*"), ("a.**", "a")]
        {
            assert!(!contains(all, some), "{all} {some}");
        }
    }

    #[test]
    fn wildcards_are_whole_segments_and_two_stars_come_last() {
        for pattern in ["lo*", "a.**.b", "***", "a.*b"] {
            assert_eq!(Pattern::new(pattern), Err(NameError::Wildcard), "{pattern}");
        }
        assert_eq!(Pattern::new("a..*"), Err(NameError::EmptySegment));
        assert_eq!(Pattern::new(""), Err(NameError::Empty));
    }

    #[test]
    fn the_more_specific_pattern_is_the_one_that_says_more() {
        let order = ["**", "*", "logs.**", "logs.*", "logs.*.build", "logs.42.build"];
        let patterns = order.map(|pattern| Pattern::new(pattern).unwrap().specificity());
        assert!(patterns.is_sorted(), "{patterns:?}");
    }

    proptest! {
        #[test]
        fn two_overlap_when_some_channel_is_in_both(
            one in "([ab*]|lithe)([.][ab*]){0,2}([.][*][*])?",
            other in "([ab*]|lithe)([.][ab*]){0,2}([.][*][*])?",
        ) {
            let (one, other): (Interest, Interest) = (one.parse().unwrap(), other.parse().unwrap());
            let mut names: Vec<String> = Vec::new();
            for first in ["a", "b", "c", "lithe"] {
                names.push(first.to_owned());
                // All with up to four segments, of which each pattern here has less or ends in `**`.
                let mut longer = vec![first.to_owned()];
                for _ in 0..3 {
                    longer = longer.iter()
                        .flat_map(|name| ["a", "b", "c"].map(|last| format!("{name}.{last}")))
                        .collect();
                    names.extend(longer.clone());
                }
            }
            let mut channels = names.iter().map(|name| ChannelName::new(name).unwrap());
            let both = channels.any(|channel| one.covers(&channel) && other.covers(&channel));
            prop_assert_eq!(one.overlaps(&other), both, "{} {}", one, other);
            prop_assert_eq!(other.overlaps(&one), both);
        }

        #[test]
        fn a_name_matches_itself_and_each_pattern_made_of_it(
            segments in prop::collection::vec("[a-c]{1,2}", 1..5),
            stars in prop::collection::vec(any::<bool>(), 5),
            tail in 0..5usize,
        ) {
            let channel = segments.join(".");
            prop_assert!(matches(&channel, &channel));
            let starred: Vec<&str> = segments.iter().zip(&stars)
                .map(|(segment, star)| if *star { "*" } else { segment })
                .collect();
            prop_assert!(matches(&starred.join("."), &channel));
            let mut cut = starred[..tail.min(segments.len() - 1)].to_vec();
            cut.push("**");
            prop_assert!(matches(&cut.join("."), &channel));
            let longer = format!("{channel}.more");
            prop_assert!(!matches(&starred.join("."), &longer));
        }
    }
}
