use std::collections::HashSet;
use std::sync::Arc;

use super::{Member, Since, Subscription};
use crate::hub::channel::{Channel, Start};
use crate::hub::cursor::{Content, Found, Vector, fingerprint};
use crate::hub::log::Standing;
use crate::hub::{ChannelName, Cursor, Gap, GapReason, Interest, Item, Position};

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
        let positions: Vec<_> =
            self.interests().filter_map(|interest| self.position(interest)).collect();
        let patterns = (self.patterns > 0).then(|| self.found(&positions));
        let fingerprint = fingerprint(self.interests());
        Some(Cursor(Content::Many(Vector { fingerprint, positions, patterns })))
    }

    /// Whether there are channels of which it is not known yet where it begins. Whoever comes back
    /// with a cursor from before that is told of a gap in them.
    #[cfg(feature = "endpoint")]
    pub(crate) fn is_beginning(&self) -> bool {
        let mut pending = self.members.iter().filter_map(|(_, member)| member.pending.as_ref());
        let is_known = |start| matches!(start, Start::After(_) | Start::From(_) | Start::PassedOn);
        let mut listens = self.interests.iter().filter_map(|wanted| wanted.listen.as_ref());
        pending.any(|pending| !is_known(pending.start))
            || listens.any(|listen| matches!(listen.pending, Some(Since::Fresh | Since::Unknown)))
    }

    /// Whether more was found out that is yet to be told, before anything else is read.
    #[cfg(feature = "endpoint")]
    pub(crate) fn has_more_to_tell(&self) -> bool {
        !self.items.is_empty()
    }

    /// In a channel that was asked for by name.
    fn position(&self, interest: &Interest) -> Option<Position> {
        let Interest::Channel(name) = interest else { return None };
        // What was missed in an earlier log is yet to be told.
        let is_mirror = self.hub.shared.backplane.is_some();
        let is_about = |other: &Interest| match is_mirror {
            // It goes on where it was, whatever was missed by a pattern.
            true => other == interest,
            false => other.covers(name),
        };
        let is_untold = |item: &Item| {
            matches!(item, Item::Gap(gap)
            if gap.to.is_none() && is_about(&gap.interest))
        };
        if self.items.iter().any(|queued| is_untold(&queued.item)) {
            return Some(Position::NOWHERE);
        }
        Some(self.members[self.member_of(name)? as usize].delivered)
    }

    /// Where it stands in the channels that were found by patterns.
    fn found(&self, positions: &[Position]) -> Found {
        let shared = &self.hub.shared;
        // Before the channels are looked at: there is no more in them up to that number.
        let heard = shared.sequence.last();
        let mut found =
            Found { losses: self.losses, heard, incomplete: false, channels: Vec::new() };
        let mut untold = self.add_untold(&mut found);
        self.add_waiting(&mut found, &mut untold);
        let mirrors = shared.backplane.is_some();
        if found.losses == Position::NOWHERE && !mirrors {
            return found;
        }
        let len = |(name, at): &(ChannelName, Position)| Found::channel_len(name, *at);
        let mut room = Found::room(positions).min(shared.cursor_room);
        if untold.iter().map(len).sum::<usize>() > room {
            // The losses tell of those that were lost meanwhile.
            found.losses = self.told_losses;
            untold.retain(|(_, at)| *at != Position::NOWHERE);
        }
        room = room.saturating_sub(untold.iter().map(len).sum());
        let mut places = self.places();
        if found.losses == Position::NOWHERE {
            // Of these the gap of their pattern tells.
            places.retain(|place| place.at != Position::NOWHERE);
        }
        let mut named: Vec<_> = if self.finds_many() {
            let behind = places.iter().filter(|place| place.standing != Standing::AtTop);
            behind.map(Place::name).collect()
        } else {
            places.iter().map(Place::name).collect()
        };
        if self.finds_many() && named.iter().map(len).sum::<usize>() > room {
            found.heard = heard_by_all(&places, heard);
            // First of which nothing else tells, then where most would be missed.
            let ahead = |place: &Place| place.channel.as_ref()?.is_ahead(place.at, found.heard);
            places.retain(|place| place.standing == Standing::Elsewhere || ahead(place).is_some());
            places.sort_by_key(|place| (place.standing != Standing::Elsewhere, ahead(place)));
            let mut left = room;
            let fits = |place: &&Place| {
                let (name, at) = place.name();
                left = left.saturating_sub(Found::channel_len(&name, at));
                left > 0 || place.standing == Standing::Elsewhere
            };
            named = places.iter().take_while(fits).map(Place::name).collect();
        } else if self.finds_many() && mirrors {
            // On other nodes the number says nothing, and names do.
            let mut left = room.saturating_sub(named.iter().map(len).sum());
            let at_top = places.iter().filter(|place| place.standing == Standing::AtTop);
            named.extend(at_top.map(Place::name).take_while(|name| {
                let fits = len(name) <= left;
                left = left.saturating_sub(len(name));
                fits
            }));
        }
        // What is yet to be told of a channel counts more than where another one by its name is.
        found.channels = named;
        found.channels.append(&mut untold);
        found
    }

    /// Who breaks off before it has heard of a gap has to hear of it later. Those in channels.
    fn add_untold(&self, found: &mut Found) -> Vec<(ChannelName, Position)> {
        let mut untold = Vec::new();
        for queued in &self.items {
            let Item::Gap(Gap { interest, reason, from, to: None }) = &queued.item else {
                continue;
            };
            match (interest, reason) {
                (Interest::Channel(name), _) => {
                    untold.push((name.clone(), from.unwrap_or(Position::NOWHERE)));
                }
                (Interest::Pattern(_), GapReason::Limit) => found.incomplete = true,
                (Interest::Pattern(_), GapReason::Expired) => {
                    found.losses = earlier(found.losses, self.told_losses);
                }
                (Interest::Pattern(_), _) => found.losses = Position::NOWHERE,
            }
        }
        untold
    }

    /// With patterns that are yet to begin it stands where it stood before.
    fn add_waiting(&self, found: &mut Found, channels: &mut Vec<(ChannelName, Position)>) {
        for wanted in &self.interests {
            let waiting = wanted.listen.as_ref().and_then(|listen| listen.pending.as_ref());
            match waiting {
                None => {}
                Some(Since::Known(before)) => {
                    found.losses = earlier(found.losses, before.losses);
                    found.heard = found.heard.min(before.heard);
                    found.incomplete |= before.incomplete;
                    let is_new = |(name, _): &&(ChannelName, Position)| {
                        wanted.interest.covers(name)
                            && self.member_of(name).is_none()
                            && !self.left.contains_key(name)
                    };
                    channels.extend(before.channels.iter().filter(is_new).cloned());
                }
                Some(Since::Fresh | Since::Unknown) => found.losses = Position::NOWHERE,
            }
        }
    }

    /// Where it stands in each channel that was found, or is about to be.
    fn places(&self) -> Vec<Place> {
        let members = self.by_name.iter().map(|index| &self.members[*index as usize]);
        let place = |member: &Member| {
            let at = match member.pending.as_ref().map(|pending| pending.start) {
                Some(Start::PassedOn) => member.channel.first_heard()?,
                _ => member.delivered,
            };
            Some(Place::new(member.channel.clone(), at))
        };
        let members = members.filter(|member| !member.pinned);
        let mut places: Vec<_> = members.filter_map(place).collect();
        places.extend(self.left.iter().map(|(name, at)| Place::left(name, *at)));
        let joined = self.subscriber.joined();
        match self.hub.shared.backplane {
            Some(_) => self.add_joined_mirrors(joined, &mut places),
            None => self.add_joined(joined, &mut places),
        }
        places
    }

    /// Where it is about to begin, unless it goes on there. Of two mirrors by one name the first has
    /// what was passed on first.
    fn add_joined_mirrors(&self, joined: Vec<Arc<Channel>>, places: &mut Vec<Place>) {
        let mut known: HashSet<_> = places.iter().map(|place| place.name.clone()).collect();
        for channel in joined {
            let name = channel.name();
            let is_pinned = |index: u32| self.members[index as usize].pinned;
            let is_wanted = self.interests.iter().any(|wanted| wanted.covers(name));
            if is_wanted
                && !self.member_of(name).is_some_and(is_pinned)
                && let Some(at) = channel.first_heard()
                && known.insert(name.clone())
            {
                places.push(Place::new(channel, at));
            }
        }
    }

    fn add_joined(&self, joined: Vec<Arc<Channel>>, places: &mut Vec<Place>) {
        for channel in joined {
            let is_known = |index: u32| {
                let member = &self.members[index as usize];
                member.pinned || member.channel.standing(member.delivered) != Standing::AtTop
            };
            let is_wanted = self.interests().any(|interest| interest.covers(channel.name()));
            if is_wanted && !self.member_of(channel.name()).is_some_and(is_known) {
                places.retain(|place| place.name != *channel.name());
                let at = channel.reader_from_the_beginning().at;
                places.push(Place::new(channel, at));
            }
        }
    }

    /// Whether its patterns have found so many channels that it takes its time to say where it
    /// stands.
    pub(crate) fn finds_many(&self) -> bool {
        let named = self.interests.len() - self.patterns;
        let channels = self.members.len() + self.left.len();
        self.patterns > 0 && channels > self.hub.shared.cursor_names + named
    }
}

/// The one before which less was lost.
fn earlier(one: Position, other: Position) -> Position {
    match one.epoch == other.epoch {
        true => Position { offset: one.offset.min(other.offset), ..one },
        false => Position::NOWHERE,
    }
}

/// Up to which number all was delivered, in all channels.
fn heard_by_all(places: &[Place], last: u64) -> u64 {
    let next = places.iter().filter_map(|place| match place.standing {
        Standing::Before(next) => Some(next),
        Standing::AtTop | Standing::Elsewhere => None,
    });
    next.min().map_or(last, |next| last.min(next - 1))
}

/// Where a subscription stands in a channel.
struct Place {
    name: ChannelName,
    /// Unless the hub has given its mirror up.
    channel: Option<Arc<Channel>>,
    at: Position,
    standing: Standing,
}

impl Place {
    fn new(channel: Arc<Channel>, at: Position) -> Self {
        let standing = channel.standing(at);
        Place { name: channel.name().clone(), channel: Some(channel), at, standing }
    }

    fn left(name: &ChannelName, at: Position) -> Self {
        Place { name: name.clone(), channel: None, at, standing: Standing::Elsewhere }
    }

    fn name(&self) -> (ChannelName, Position) {
        (self.name.clone(), self.at)
    }
}
