//! How clients are told to come back: at which time, and in what words.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::http::{HeaderMap, header};

/// A time within a window, in whole milliseconds, so that those who are sent away together do not
/// all come back at once.
pub(crate) fn within(window: &RangeInclusive<Duration>) -> Duration {
    let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (from, to) = (millis(window.start()), millis(window.end()));
    Duration::from_millis(fastrand::u64(from..=to.max(from)))
}

/// Whether it is an `EventSource` that asks, which gives up for good on any status but 200
/// (WHATWG HTML §9.2.2).
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accept(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (header::ACCEPT, value)).collect()
    }

    #[test]
    fn an_event_source_is_recognised_by_what_it_accepts() {
        assert!(wants_events(&accept(&["text/event-stream"])));
        assert!(wants_events(&accept(&["text/html", "Text/Event-Stream;q=0.5, */*"])));
        assert!(!wants_events(&accept(&["*/*"])));
        assert!(!wants_events(&accept(&["text/event-streams"])));
        assert!(!wants_events(&accept(&[])));
    }

    #[test]
    fn a_window_may_be_a_moment() {
        let moment = Duration::from_millis(7);
        assert_eq!(within(&(moment..=moment)), moment);
        let window = moment..=Duration::from_millis(9);
        assert!((0..100).all(|_| window.contains(&within(&window))));
    }
}
