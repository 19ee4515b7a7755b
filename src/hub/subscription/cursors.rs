use super::Subscription;
use super::subscribe::nowhere;
#[cfg(feature = "endpoint")]
use crate::hub::channel::Start;
use crate::hub::cursor::{Content, Found, Vector, fingerprint};
use crate::hub::{Cursor, Gap, Interest, Item, Position};

impl Subscription {
    /// Where the subscription stands: after all items that it has yielded. `None` when there is
    /// nothing that it listens to.
    ///
    /// Whoever presents it to [`resume`](Self::resume), with the same channels and patterns in the
    /// same order, goes on from here.
    pub fn cursor(&self) -> Option<Cursor> {
        if let [only] = &self.interests[..]
            && let Some(position) = self.position(&only.interest)
        {
            return Some(Cursor(Content::One(position)));
        }
        if self.interests.is_empty() {
            return None;
        }
        let positions = self.interests().filter_map(|interest| self.position(interest)).collect();
        let patterns = (self.patterns > 0).then(|| self.found());
        let fingerprint = fingerprint(self.interests());
        Some(Cursor(Content::Many(Vector { fingerprint, positions, patterns })))
    }

    /// Whether there are channels of which it is not known yet where it begins. Whoever comes back
    /// with a cursor from before that is told of a gap in them.
    #[cfg(feature = "endpoint")]
    pub(crate) fn is_beginning(&self) -> bool {
        let mut pending = self.members.iter().filter_map(|(_, member)| member.pending.as_ref());
        pending.any(|pending| !matches!(pending.start, Start::After(_)))
    }

    /// In a channel that was asked for by name.
    fn position(&self, interest: &Interest) -> Option<Position> {
        let Interest::Channel(name) = interest else { return None };
        // What was missed in an earlier log is yet to be told.
        let is_untold = |item: &Item| {
            matches!(item, Item::Gap(gap)
            if gap.to.is_none() && gap.interest.covers(name))
        };
        if self.items.iter().any(|queued| is_untold(&queued.item)) {
            return Some(nowhere());
        }
        Some(self.members[self.member_of(name)? as usize].delivered)
    }

    fn found(&self) -> Found {
        let members = self.by_name.iter().map(|index| &self.members[*index as usize]);
        let mut channels: Vec<_> = members
            .filter(|member| !member.pinned)
            .map(|member| (member.channel.name().clone(), member.delivered))
            .collect();
        let mut losses = self.losses;
        // Who breaks off before it has heard of a gap has to hear of it later.
        for queued in &self.items {
            let Item::Gap(Gap { interest, from, to: None, .. }) = &queued.item else { continue };
            match interest {
                Interest::Channel(name) => {
                    channels.push((name.clone(), from.unwrap_or_else(nowhere)));
                }
                Interest::Pattern(_) => losses = nowhere(),
            }
        }
        Found { losses, incomplete: false, channels }
    }
}
