//! The clock.

use crate::client::{Get, address, test};
use crate::webdriver::Browser;
use crate::{answer, example};

/// The id of the next tick.
async fn tick(stream: &mut Get) -> u64 {
    let event = stream.until("\n\n").await;
    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("a tick");
    assert_eq!(data.len(), "12:34:56".len(), "{event}");
    event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().parse().unwrap()
}

async fn watch(address: &str, path: &str, headers: &str) -> Get {
    let mut stream = Get::send(address, path, headers).await;
    let head = stream.until("\r\n\r\n").await;
    assert!(head.contains(" 200 ") && head.contains("text/event-stream"), "{head}");
    stream.until("retry: 1000\n\n").await;
    stream
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn a_clock_ticks_tells_what_was_missed_and_is_kept_alive() {
    let mut program = example("sse");
    let address = address(&program.line());
    test(async {
        let mut stream = watch(&address, "/clock", "").await;
        let first = tick(&mut stream).await;
        let mut last = first;
        for _ in 0..2 {
            let next = tick(&mut stream).await;
            assert!(next > last);
            last = next;
        }
        let seen = format!("Last-Event-ID: {}\r\n", first - 100);
        let mut back = watch(&address, "/clock", &seen).await;
        let missed = back.until("\n\n").await;
        assert!(missed.contains("event: missed\n") && missed.contains("data: 10"), "{missed}");
        tick(&mut back).await;
        drop(back);

        let mut slow = watch(&address, "/clock?every=3600", "").await;
        tick(&mut slow).await;
        slow.until("\n:\n\n").await;

        let refused = answer(&address, "GET /clock?every=0", "}").await;
        assert!(refused.contains(" 400 ") && refused.contains("from 1 to 3600"), "{refused}");
        let refused = answer(&address, "DELETE /clock", "\r\n\r\n").await;
        assert!(refused.contains(" 405 ") && refused.contains("allow: GET, HEAD"), "{refused}");
        assert!(answer(&address, "GET /no", "\r\n").await.contains(" 404 "));

        program.interrupt();
        for mut stream in [stream, slow] {
            while !stream.until("\n\n").await.contains("retry: ") {}
        }
    });
    program.finish();
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn a_browser_shows_the_clock() {
    let mut program = example("sse");
    let page = Browser::open(&format!("http://{}/", address(&program.line())));
    page.wait_until("document.getElementById('state').textContent === 'connected'");
    page.wait_until("/^\\d\\d:\\d\\d:\\d\\d$/.test(document.getElementById('time').textContent)");
    page.run("window.before = document.getElementById('time').textContent;");
    page.wait_until("document.getElementById('time').textContent !== window.before");
    program.interrupt();
    program.finish();
}
