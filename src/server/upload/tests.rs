use std::convert::Infallible;
use std::thread;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::*;

const NOW: Option<Duration> = Some(Duration::ZERO);

/// An upload, and what puts its body in.
fn upload() -> (Arc<Upload>, mpsc::UnboundedSender<Bytes>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((Ok::<_, Infallible>(receiver.recv().await?), receiver))
    });
    (Upload::start(Body::from_stream(pieces.boxed())), sender)
}

/// Lets the worker do what it can.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn body_is_read_to_its_end() {
    let (upload, body) = upload();
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    body.send("one".into()).unwrap();
    body.send("two".into()).unwrap();
    settle().await;
    assert_eq!(upload.read(2, NOW).unwrap(), "on");
    assert_eq!(upload.read(9, NOW).unwrap(), "e");
    assert_eq!(upload.read(9, NOW).unwrap(), "two");
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    drop(body);
    settle().await;
    assert_eq!(upload.read(9, NOW).unwrap(), "");
    assert_eq!(upload.read(9, NOW).unwrap(), "");
}

#[tokio::test]
async fn empty_body_ends_at_once() {
    let upload = Upload::start(Body::empty());
    assert_eq!(upload.read(9, NOW).unwrap(), "");
    upload.close();
    assert_eq!(upload.read(9, NOW), Err(ReadError::Closed));
}

/// How much of what is sent the worker has taken.
async fn taken(pieces: usize, len: usize, upload: &Upload) -> usize {
    let before = upload.lock().buffered;
    settle().await;
    let after = upload.lock().buffered;
    assert!(after <= pieces * len);
    after - before
}

#[tokio::test]
async fn host_that_does_not_read_holds_up_the_client() {
    let (upload, body) = upload();
    for _ in 0..100 {
        body.send(vec![7; 10 * 1024].into()).unwrap();
    }
    assert_eq!(taken(100, 10 * 1024, &upload).await, 0, "nothing was asked for");
    assert_eq!(upload.read(1, NOW), Err(ReadError::Timeout));
    let ahead = taken(100, 10 * 1024, &upload).await;
    assert!((READ_AHEAD..READ_AHEAD + 10 * 1024).contains(&ahead), "{ahead}");

    let mut read = 0;
    while read < 100 * 10 * 1024 {
        match upload.read(usize::MAX, NOW) {
            Ok(piece) => read += piece.len(),
            Err(_) => settle().await,
        }
        assert!(upload.lock().buffered < READ_AHEAD + 10 * 1024);
    }
    for _ in 0..1000 {
        body.send("x".into()).unwrap();
    }
    settle().await;
    assert_eq!(upload.lock().pieces.len(), MAX_PIECES);
}

#[tokio::test]
async fn limit_and_break_are_told_after_what_came_before() {
    let limited = http_body_util::Limited::new(Body::from("12345"), 3);
    let upload = Upload::start(Body::new(limited));
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    settle().await;
    assert_eq!(upload.read(9, NOW), Err(ReadError::TooLarge));

    let pieces = futures_util::stream::iter([Ok("begun"), Err(std::io::Error::other("gone"))]);
    let upload = Upload::start(Body::from_stream(pieces));
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    settle().await;
    assert_eq!(upload.read(9, NOW).unwrap(), "begun");
    assert_eq!(upload.read(9, NOW), Err(ReadError::Closed));
}

#[tokio::test]
async fn closing_wakes_the_reader_and_lets_the_body_go() {
    let (upload, body) = upload();
    let reader = upload.clone();
    let reader = thread::spawn(move || reader.read(9, None));
    while !upload.lock().starved {
        settle().await;
    }
    upload.close();
    assert_eq!(reader.join().unwrap(), Err(ReadError::Closed));
    assert_eq!(upload.read(9, NOW), Err(ReadError::Closed));
    body.closed().await;
}

#[test]
fn worker_that_stops_wakes_the_reader() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (upload, _body) = runtime.block_on(async {
        let (upload, body) = upload();
        settle().await;
        (upload, body)
    });
    let reader = upload.clone();
    let reader = thread::spawn(move || reader.read(9, None));
    while !upload.lock().starved {
        thread::yield_now();
    }
    drop(runtime);
    assert_eq!(reader.join().unwrap(), Err(ReadError::Closed));
}

#[tokio::test(start_paused = true)]
async fn time_runs_for_the_host_only_while_it_is_its_turn() {
    let second = Duration::from_secs(1);
    let (upload, body) = upload();
    tokio::time::advance(second).await;
    assert_eq!(upload.idle(), second);
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    tokio::time::advance(second).await;
    assert_eq!(upload.idle(), Duration::ZERO, "the client is waited for");
    body.send("x".into()).unwrap();
    settle().await;
    tokio::time::advance(second).await;
    assert_eq!(upload.idle(), second);
    upload.read(9, NOW).unwrap();
    assert_eq!(upload.idle(), Duration::ZERO);
    tokio::time::advance(second).await;
    assert_eq!(upload.idle(), second);
}

/// Counts the sources on the list of a host.
#[derive(Default)]
struct Listed(Mutex<Vec<Arc<dyn Source>>>);

impl Host for Listed {
    fn enlist(self: Arc<Self>, source: Arc<dyn Source>) {
        self.0.lock().unwrap().push(source);
    }
}

impl Listed {
    /// What the host is told.
    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for source in std::mem::take(&mut *self.0.lock().unwrap()) {
            let mut put = |tag: Tag, event| {
                assert_eq!((tag.handle, tag.user_data), (1, 2));
                events.push(event);
            };
            let mut batch = Batch { room: 10, put: &mut put };
            assert!(!source.hand_over(&mut batch));
        }
        events
    }
}

#[tokio::test]
async fn host_that_found_nothing_is_told_once_when_there_is_something() {
    let (upload, body) = upload();
    let host = Arc::new(Listed::default());
    upload.report_to(host.clone(), Tag { handle: 1, user_data: 2 });
    settle().await;
    assert_eq!(host.events(), []);

    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    assert_eq!(host.events(), []);
    body.send("one".into()).unwrap();
    body.send("two".into()).unwrap();
    settle().await;
    assert_eq!(host.events(), [Event::Readable]);
    assert_eq!(upload.read(9, NOW).unwrap(), "one");
    assert_eq!(upload.read(9, NOW).unwrap(), "two");
    body.send("three".into()).unwrap();
    settle().await;
    assert_eq!(host.events(), [], "it has not found nothing");

    assert_eq!(upload.read(9, NOW).unwrap(), "three");
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    body.send("four".into()).unwrap();
    settle().await;
    assert_eq!(upload.read(9, NOW).unwrap(), "four");
    assert_eq!(host.events(), [], "it has found out by itself");

    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    drop(body);
    settle().await;
    assert_eq!(host.events(), [Event::Readable]);
    assert_eq!(upload.read(9, NOW).unwrap(), "");
    settle().await;
    assert_eq!(host.events(), []);
}

#[tokio::test]
async fn host_that_asks_late_to_be_told_misses_nothing() {
    let (upload, body) = upload();
    let host = Arc::new(Listed::default());
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    body.send("x".into()).unwrap();
    settle().await;
    upload.report_to(host.clone(), Tag { handle: 1, user_data: 2 });
    assert_eq!(host.events(), [Event::Readable]);
    upload.read(9, NOW).unwrap();
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    upload.report_to_nobody();
    upload.close();
    assert_eq!(host.events(), []);
}

#[tokio::test]
async fn host_may_call_a_request_something_else_before_it_is_told() {
    let (upload, body) = upload();
    let host = Arc::new(Listed::default());
    upload.report_to(host.clone(), Tag { handle: 1, user_data: 7 });
    assert_eq!(upload.read(9, NOW), Err(ReadError::Timeout));
    body.send("x".into()).unwrap();
    settle().await;
    upload.report_to(host.clone(), Tag { handle: 1, user_data: 2 });
    assert_eq!(host.0.lock().unwrap().len(), 1);
    assert_eq!(host.events(), [Event::Readable]);
}
