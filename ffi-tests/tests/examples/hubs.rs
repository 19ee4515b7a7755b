//! The example of a hub: alone, and as one of several that are one by a Redis.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lithe_ffi_tests::{Program, scratch_dir};

use crate::client::{Get, address, test};
use crate::{Run, build, start};

pub fn hub(run: Run) {
    hub_of("hub", run);
}

pub fn hub_cpp(run: Run) {
    hub_of("hub_cpp", run);
}

/// Each browser gets all that is published, and one that comes back what it has missed.
fn hub_of(name: &str, run: Run) {
    let mut program = start(name, run);
    let address = address(&program.line());
    test(async {
        let page = Get::send(&address, "/", "").await.until("</script>").await;
        assert!(page.contains("/hub/sse?channel=load"));
        let mut listeners = Vec::new();
        for _ in 0..50 {
            listeners.push(listen(&address, "").await);
        }
        let mut seen = Vec::new();
        for listener in &mut listeners {
            seen.push(next_event(listener).await);
        }
        drop(listeners);
        let (epoch, offset, _) = &seen[0];
        let header = format!("Last-Event-ID: {epoch}-{offset}\r\n");
        let mut back = listen(&address, &header).await;
        for further in 1..=3 {
            let (next_epoch, next_offset, _) = next_event(&mut back).await;
            assert_eq!((&next_epoch, next_offset), (epoch, offset + further));
        }
        program.interrupt();
        back.until("event: lithe.bye").await;
    });
    program.finish();
}

async fn listen(address: &str, headers: &str) -> Get {
    let mut listener = Get::send(address, "/hub/sse?channel=load", headers).await;
    listener.until("event: lithe.sub\n").await;
    let subscribed = listener.until("\n\n").await;
    assert_eq!(subscribed.contains("\"recovered\":true"), !headers.is_empty(), "{subscribed}");
    listener
}

/// Its epoch, its offset and its data.
async fn next_event(listener: &mut Get) -> (String, u64, String) {
    let event = listener.until("\n\n").await;
    let field = |name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {event:?}")).to_owned()
    };
    let id = field("id: ");
    let (epoch, offset) = id.split_once('-').expect("the cursor of one channel");
    (epoch.to_owned(), offset.parse().expect("a number"), field("data: "))
}

/// A `redis-server` on a port of its own, which ends with this.
pub struct Redis(Child, u16);

impl Redis {
    pub fn start() -> Self {
        // Free just now.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port");
        let child = Command::new("redis-server")
            .args(["--save", "", "--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .arg("--dir")
            .arg(scratch_dir("redis"))
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: scripts/install-test-deps.sh installs it");
        let redis = Redis(child, address.port());
        let patience = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < patience, "redis-server does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.1)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It has ended already, if it could not have the port.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn programs_with_one_redis_are_one_hub() {
    let redis = Redis::start();
    let url = redis.url();
    let program = build("hub");
    let mut programs = [(); 2].map(|()| Program::start(&program, ["0", &url]));
    let addresses = programs.each_mut().map(|program| address(&program.line()));
    test(async {
        // Both publish on the same channel: whoever listens gets what both say, in one order.
        let mut seen = [BTreeMap::new(), BTreeMap::new()];
        let mut listeners = Vec::new();
        for address in &addresses {
            listeners.push(listen(address, "").await);
        }
        while seen[0].keys().filter(|place| seen[1].contains_key(*place)).count() < 20 {
            for (seen, listener) in seen.iter_mut().zip(&mut listeners) {
                let (epoch, offset, data) = next_event(listener).await;
                if let Some(((last_epoch, last), _)) = seen.last_key_value() {
                    assert_eq!((&epoch, offset), (last_epoch, last + 1));
                }
                seen.insert((epoch, offset), data);
            }
        }
        for (place, data) in &seen[0] {
            assert!(seen[1].get(place).is_none_or(|other| other == data), "{place:?}");
        }
    });
    for program in programs {
        program.interrupt();
        program.finish();
    }
}
