//! What one client was told, and whether that is all of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use lithe::hub::Position;
use serde_json::Value;

/// The data of the last publication of a channel.
pub(crate) const END: &str = "end";

/// Something that a client was told of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It begins here.
    Begun(Position),
    /// It goes on from here, and lacks nothing.
    Recovered(Position),
    Publication(Position, String),
    Gap {
        from: Option<Position>,
        to: Option<Position>,
        reason: String,
    },
}

/// What was published on one channel, as its publisher knows.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Where each is, in the order in which they were published.
    pub(crate) places: Vec<(Position, String)>,
    /// Those that were published more than once, because nobody knew what had become of them.
    pub(crate) again: HashSet<String>,
}

/// All that a client was told, from the first.
#[derive(Debug, Default)]
pub(crate) struct Record(Vec<(String, Told)>);

fn position(value: &Value) -> Option<Position> {
    value.as_str().map(|text| text.parse().unwrap())
}

fn place(frame: &Value) -> Position {
    format!("{}-{}", frame["epoch"].as_str().unwrap(), frame["offset"]).parse().unwrap()
}

impl Record {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what came later.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Takes in a frame in JSON, as all transports have it.
    pub(crate) fn push(&mut self, frame: &Value) {
        let told = match frame["type"].as_str().unwrap() {
            "pub" => Told::Publication(place(frame), frame["data"].as_str().unwrap().to_owned()),
            "sub" if frame["recovered"] == true => Told::Recovered(place(frame)),
            // What is missing is told by the gap that follows.
            "sub" if frame["was_recovering"] == true => return,
            "sub" => Told::Begun(place(frame)),
            "gap" => Told::Gap {
                from: position(&frame["from"]),
                to: position(&frame["to"]),
                reason: frame["reason"].as_str().unwrap().to_owned(),
            },
            "cursor" | "bye" => return,
            _ => panic!("{frame}"),
        };
        self.0.push((frame["channel"].as_str().unwrap().to_owned(), told));
    }

    /// How many channels have begun.
    pub(crate) fn begun(&self) -> usize {
        self.0.iter().filter(|(_, told)| matches!(told, Told::Begun(_))).count()
    }

    pub(crate) fn ended(&self) -> usize {
        let is_end = |told: &Told| matches!(told, Told::Publication(_, data) if data == END);
        self.0.iter().filter(|(_, told)| is_end(told)).count()
    }

    /// Each publication exactly once and in order, or a gap that covers exactly what is missing.
    /// Says how many gaps each channel had.
    pub(crate) fn verify(
        &self,
        published: &HashMap<String, Published>,
    ) -> Result<BTreeMap<String, usize>, String> {
        let mut gaps = BTreeMap::new();
        let names: HashSet<_> = self.0.iter().map(|(channel, _)| channel).collect();
        for name in names {
            let told = self.0.iter().filter(|(channel, _)| channel == name).map(|(_, told)| told);
            let told: Vec<_> = told.collect();
            let count = verify_channel(&told, &published[name])
                .map_err(|wrong| format!("{name}: {wrong}"))?;
            gaps.insert(name.clone(), count);
        }
        Ok(gaps)
    }
}

fn verify_channel(told: &[&Told], published: &Published) -> Result<usize, String> {
    let [Told::Begun(begin), rest @ ..] = told else {
        return Err(format!("it does not begin: {told:?}"));
    };
    let mut places: HashMap<_, Vec<_>> = HashMap::new();
    for (position, data) in &published.places {
        // A log that has lost its end has two at one place, until it begins anew.
        places.entry(*position).or_default().push(data.as_str());
    }
    let mut at = *begin;
    let mut received: HashMap<&str, Position> = HashMap::new();
    let mut there = HashSet::new();
    let (mut count, mut missing) = (0, Vec::new());
    for told in rest {
        match told {
            Told::Begun(_) => return Err(format!("it begins again after {at}")),
            Told::Recovered(position) if *position == at => {}
            Told::Publication(position, data)
                if position.epoch == at.epoch && position.offset == at.offset + 1 =>
            {
                at = *position;
                match places.get(&at) {
                    Some(expected) if expected.contains(&data.as_str()) => {}
                    // It was published, but the one who did it has not heard of that.
                    _ if published.again.contains(data) => {}
                    other => return Err(format!("{data} is at {at}, not {other:?}")),
                }
                there.insert(at);
                if let Some(before) = received.insert(data, at)
                    && (before.epoch == at.epoch || !published.again.contains(data))
                {
                    return Err(format!("{data} came twice, at {before} and at {at}"));
                }
            }
            Told::Gap { from: Some(from), to: Some(to), .. }
                if *from == at && (to.epoch != at.epoch || to.offset > at.offset) =>
            {
                count += 1;
                missing.push((*from, *to));
                at = *to;
            }
            wrong => return Err(format!("after {at}: {wrong:?}")),
        }
    }
    // Nothing is missing that no gap covers, and what a gap covers was not received.
    for (position, data) in &published.places {
        let is_before = position.epoch == begin.epoch && position.offset <= begin.offset;
        let is_received = received.get(data.as_str()).is_some_and(|at| at == position);
        // Of a log that is over, what came second at a place is missing like its end.
        let is_second = there.contains(position) && !is_received;
        let is_covered = missing.iter().any(|(from, to)| {
            covers(*from, *to, *position)
                || is_second && position.epoch == from.epoch && from.epoch != to.epoch
        });
        if is_before {
            continue;
        }
        if is_received == is_covered {
            return Err(format!(
                "{data} at {position}: received: {is_received}, in a gap: {is_covered}, {missing:?}"
            ));
        }
    }
    Ok(count)
}

/// Whether a publication is among what a gap says is missing.
fn covers(from: Position, to: Position, position: Position) -> bool {
    let after = position.epoch == from.epoch && position.offset > from.offset;
    let before = position.epoch == to.epoch && position.offset <= to.offset;
    match from.epoch == to.epoch {
        true => after && before,
        // All that was left in the one log, and the beginning of the other.
        false => after || before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Position {
        text.parse().unwrap()
    }

    fn publication(position: &str, data: &str) -> Told {
        Told::Publication(at(position), data.to_owned())
    }

    fn gap(from: &str, to: &str) -> Told {
        Told::Gap { from: Some(at(from)), to: Some(at(to)), reason: "epoch".to_owned() }
    }

    fn verify(told: &[Told]) -> Result<usize, String> {
        let place = |(position, data): (&str, &str)| (at(position), data.to_owned());
        let places = [("1-1", "a"), ("1-2", "b"), ("1-3", "c"), ("2-1", "d"), ("2-2", "e")];
        let again = HashSet::from(["c".to_owned()]);
        let published = Published { places: places.map(place).into(), again };
        verify_channel(&told.iter().collect::<Vec<_>>(), &published)
    }

    #[test]
    fn the_count_finds_what_is_wrong() {
        let begun = Told::Begun(at("1-0"));
        let [a, b, c] = [("1-1", "a"), ("1-2", "b"), ("1-3", "c")].map(|(p, d)| publication(p, d));
        let [d, e] = [("2-1", "d"), ("2-2", "e")].map(|(p, d)| publication(p, d));
        let lost = gap("1-2", "2-0");
        let whole = [&begun, &a, &b, &lost, &d, &e].map(Clone::clone);
        assert_eq!(verify(&whole), Ok(1));
        for without in 0..whole.len() {
            let mut told = whole.to_vec();
            told.remove(without);
            assert!(verify(&told).is_err(), "{told:?}");
        }
        for twice in 0..whole.len() {
            let mut told = whole.to_vec();
            told.insert(twice, told[twice].clone());
            assert!(verify(&told).is_err(), "{told:?}");
        }
        for swapped in 1..whole.len() {
            let mut told = whole.to_vec();
            told.swap(swapped - 1, swapped);
            assert!(verify(&told).is_err(), "{told:?}");
        }
        let wide = [&begun, &a, &gap("1-0", "2-0"), &d, &e].map(Clone::clone);
        assert!(verify(&wide).is_err());
        let empty = [&begun, &a, &b, &c, &gap("1-3", "1-3")].map(Clone::clone);
        assert!(verify(&empty).is_err());
    }
}
