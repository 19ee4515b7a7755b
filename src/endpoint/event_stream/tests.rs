use std::collections::HashMap;
use std::task::Waker;

use proptest::prelude::*;

use super::*;
use crate::endpoint::frames::Format;
use crate::hub::{ChannelName, ChannelOptions, Hub};
use crate::sse::event_stream_parser::{DispatchedEvent, EventStreamParser};

/// What there is to send now.
fn frame(body: &mut Pin<Box<Body>>) -> Option<Bytes> {
    let mut cx = Context::from_waker(Waker::noop());
    match http_body::Body::poll_frame(body.as_mut(), &mut cx) {
        Poll::Ready(Some(Ok(frame))) => Some(frame.into_data().unwrap()),
        Poll::Ready(Some(Err(error))) => panic!("{error}"),
        Poll::Ready(None) => panic!("it has ended"),
        Poll::Pending => None,
    }
}

/// A client that keeps what an `EventSource` keeps.
struct Client {
    hub: Hub,
    interests: Vec<Interest>,
    strict: bool,
    body: Option<Pin<Box<Body>>>,
    parser: EventStreamParser,
    /// The last publication of each channel.
    last: HashMap<String, u64>,
    /// Those that came twice.
    doubled: usize,
}

impl Client {
    fn new(hub: &Hub, interests: Vec<Interest>, strict: bool) -> Self {
        let mut client = Client {
            hub: hub.clone(),
            interests,
            strict,
            body: None,
            parser: EventStreamParser::new(),
            last: HashMap::new(),
            doubled: 0,
        };
        client.connect();
        client
    }

    /// Begins a stream, from where the last one broke.
    fn connect(&mut self) {
        let id = std::mem::take(&mut self.parser).last_event_id;
        let mut subscription = self.hub.subscriber();
        if id.is_empty() {
            self.interests.iter().for_each(|interest| {
                subscription.subscribe(interest.clone()).unwrap();
            });
        } else {
            subscription.resume(self.interests.clone(), &id).unwrap();
            self.parser.last_event_id.clone_from(&id);
            self.parser.feed(format!("id: {id}\n\n").as_bytes());
        }
        let stream = EventStream::new(subscription).format(Format::Json).keep_alive(None);
        self.body = Some(Box::pin(stream.strict_ids(self.strict).into_body()));
    }

    /// Reads what there is, but no more than so many bytes; then the connection is gone.
    fn read(&mut self, mut bytes: usize) {
        while let Some(frame) = self.body.as_mut().and_then(frame) {
            let taken = bytes.min(frame.len());
            let events = self.parser.feed(&frame[..taken]);
            events.iter().for_each(|event| self.take(event));
            bytes -= taken;
            if taken < frame.len() {
                self.body = None;
            }
        }
        if self.body.is_none() {
            self.connect();
        }
    }

    fn take(&mut self, event: &DispatchedEvent) {
        let frame: serde_json::Value = serde_json::from_str(&event.data).unwrap();
        match frame["type"].as_str().unwrap() {
            "pub" => {
                let channel = frame["channel"].as_str().unwrap();
                let offset = frame["offset"].as_u64().unwrap();
                assert_eq!(frame["data"], format!("{channel} {offset}"));
                let last = self.last.entry(channel.to_owned()).or_default();
                if offset <= *last {
                    self.doubled += 1;
                    return;
                }
                assert_eq!(offset, *last + 1, "{channel} lacks something");
                *last = offset;
            }
            "sub" => assert_eq!(frame["recovered"], frame["was_recovering"], "{frame}"),
            other => panic!("{other}: {frame}"),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4usize).prop_map(Step::Publish),
        1 => (0..2000usize).prop_map(Step::Read),
        1 => Just(Step::Read(usize::MAX)),
    ];
    prop::collection::vec(step, 1..80)
}

/// Lets a client read of these channels, whose stream breaks anywhere. Each publication has to come
/// in order; says how many came more than once.
fn run(interests: &[&str], channels: &[String], strict: bool, steps: &[Step]) -> usize {
    let options = ChannelOptions::default().history_size(1000);
    let hub = Hub::builder().defaults(options).build();
    let interests = interests.iter().map(|interest| interest.parse().unwrap()).collect();
    let mut client = Client::new(&hub, interests, strict);
    // What it has not even subscribed to it cannot come back for.
    client.read(usize::MAX);
    let mut published: HashMap<&str, u64> = HashMap::new();
    for step in steps {
        match step {
            Step::Publish(channel) => {
                let channel = &channels[channel % channels.len()];
                let offset = published.entry(channel).or_default();
                *offset += 1;
                let name: ChannelName = channel.parse().unwrap();
                hub.publish_blocking(&name, format!("{channel} {offset}")).unwrap();
            }
            Step::Read(bytes) => client.read(*bytes),
        }
    }
    client.read(usize::MAX);
    for (channel, offset) in published {
        assert_eq!(client.last.get(channel), Some(&offset), "{channel}");
    }
    client.doubled
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}.{n}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_channel_comes_once_and_in_order_wherever_the_stream_breaks(steps in steps()) {
        prop_assert_eq!(run(&["a.0"], &names("a", 1), false, &steps), 0);
    }

    #[test]
    fn several_channels_come_once_and_in_order_wherever_the_stream_breaks(steps in steps()) {
        prop_assert_eq!(run(&["a.0", "a.1", "b.*"], &[names("a", 2), names("b", 2)].concat(), false, &steps), 0);
    }

    #[test]
    fn many_channels_come_once_where_each_event_has_the_cursor(steps in steps()) {
        let channels = names("many", 40);
        let interests: Vec<_> = channels.iter().map(String::as_str).collect();
        prop_assert_eq!(run(&interests, &channels, true, &steps), 0);
    }

    #[test]
    fn many_channels_lack_nothing_where_only_some_events_have_the_cursor(steps in steps()) {
        let channels = names("many", 40);
        let interests: Vec<_> = channels.iter().map(String::as_str).collect();
        // A client of these knows what it has seen, by the positions.
        run(&interests, &channels, false, &steps);
    }
}

#[test]
fn all_who_listen_to_one_channel_share_the_bytes_of_an_event() {
    let hub = Hub::new();
    let interest: Interest = "a".parse().unwrap();
    let mut bodies: Vec<_> = (0..3)
        .map(|_| {
            let stream = EventStream::new(hub.subscribe([interest.clone()]).unwrap());
            Box::pin(stream.keep_alive(None).into_body())
        })
        .collect();
    bodies.iter_mut().for_each(|body| while frame(body).is_some() {});
    hub.publish_blocking(&"a".parse().unwrap(), "shared").unwrap();
    let frames: Vec<_> = bodies.iter_mut().map(|body| frame(body).unwrap()).collect();
    assert!(frames.iter().all(|frame| frame.as_ptr() == frames[0].as_ptr()));
}

#[test]
fn a_frame_is_no_larger_than_one_event_above_the_limit() {
    let hub = Hub::new();
    let interest: Interest = "a".parse().unwrap();
    let stream = EventStream::new(hub.subscribe([interest]).unwrap()).keep_alive(None);
    let mut body = Box::pin(stream.into_body());
    while frame(&mut body).is_some() {}
    let data = "x".repeat(10_000);
    for _ in 0..50 {
        hub.publish_blocking(&"a".parse().unwrap(), data.clone()).unwrap();
    }
    let mut total = 0;
    while let Some(frame) = frame(&mut body) {
        assert!(frame.len() < MAX_FRAME + 11_000, "{}", frame.len());
        assert_eq!(crate::transport::Supervised::queued_bytes(&*body.session.link), frame.len());
        total += frame.len();
    }
    assert!(total > 500_000);
    assert_eq!(crate::transport::Supervised::queued_bytes(&*body.session.link), 0);
    assert_eq!(crate::transport::Supervised::take_messages(&*body.session.link), 51);
}
