//! The server through its public API, over real sockets.
#![cfg(feature = "server")]

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{any, get, post};
use lithe::server::Server;
use lithe::transport::Kind;
use support::{Client, PATIENCE, count, eventually, header, server, status};

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

#[test]
fn a_router_answers_over_http1() {
    let server = server(hello()).start().unwrap();
    let mut client = Client::connect(&server);
    let (head, body) = client.get("/").response();
    assert_eq!((status(&head), body.as_str()), (200, "hello"));
    let (head, _) = client.get("/nowhere").response();
    assert_eq!(status(&head), 404);
}

#[test]
fn a_server_without_a_router_knows_nothing() {
    let server = Server::builder().workers(1).start().unwrap();
    assert_eq!(status(&Client::connect(&server).get("/").head()), 404);
}

#[test]
fn requests_may_come_all_at_once() {
    let server = server(hello()).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3));
    for _ in 0..3 {
        assert_eq!(client.response().1, "hello");
    }
}

#[test]
fn every_worker_serves() {
    let threads = || async { std::thread::current().name().unwrap_or_default().to_owned() };
    let router = Router::new().route("/", get(threads));
    let server = server(router).workers(3).start().unwrap();
    let mut clients: Vec<_> = (0..6).map(|_| Client::connect(&server)).collect();
    let mut names: Vec<_> = clients.iter_mut().map(|client| client.get("/").response().1).collect();
    names.sort();
    assert_eq!(names, ["lithe-0", "lithe-0", "lithe-1", "lithe-1", "lithe-2", "lithe-2"]);
}

#[test]
fn nobody_listens_once_the_server_is_dropped() {
    let server = server(hello()).start().unwrap();
    let address = server.local_addr();
    let mut client = Client::connect(&server);
    client.get("/").response();
    drop(server);
    client.closed();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_server_may_be_dropped_by_its_own_handler() {
    let (give, take) = std::sync::mpsc::channel::<Server>();
    let take = std::sync::Arc::new(std::sync::Mutex::new(take));
    let drop_it = move || {
        drop(take.lock().unwrap().recv().unwrap());
        async {}
    };
    let router = Router::new().route("/", get(drop_it));
    let server = server(router).start().unwrap();
    let address = server.local_addr();
    let mut client = Client::connect(&server);
    give.send(server).unwrap();
    client.get("/").rest();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_address_in_use_is_named_in_the_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = Server::builder().bind(address.clone()).start().unwrap_err();
    assert_eq!(error.to_string(), format!("bind {address}: address in use"));
}

#[test]
fn the_handler_learns_the_address_of_its_peer() {
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    let server = server(Router::new().route("/", get(peer))).start().unwrap();
    let mut client = Client::connect(&server);
    let local = client.socket.local_addr().unwrap().to_string();
    assert_eq!(client.get("/").response().1, local);
    assert_eq!(server.connections()[0].peer.to_string(), local);
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_shown_as_such() {
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    let router = Router::new().route("/", get(peer));
    let Ok(server) = server(router).bind("[::]:0").start() else {
        assert!(TcpListener::bind("[::1]:0").is_err(), "there is IPv6 here");
        return;
    };
    let address = ("127.0.0.1", server.local_addr().port());
    let mut client = Client::on(TcpStream::connect(address).unwrap());
    let local = client.socket.local_addr().unwrap().to_string();
    assert_eq!(client.get("/").response().1, local);
}

#[test]
fn a_panic_is_answered_with_500_and_takes_nothing_down() {
    async fn faulty() -> &'static str {
        panic!("on purpose")
    }
    let server = server(hello().route("/panic", get(faulty))).start().unwrap();
    let mut client = Client::connect(&server);
    assert_eq!(status(&client.get("/panic").response().0), 500);
    assert_eq!(client.get("/").response().1, "hello");
    assert_eq!(server.metrics().panics, 1);
}

#[test]
fn bodies_are_given_to_the_handler() {
    let router = Router::new().route("/", post(|body: String| async move { body }));
    let server = server(router).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nplain");
    assert_eq!(client.response().1, "plain");
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n");
    assert_eq!(client.response().1, "in pieces");
}

#[test]
fn a_directory_answers_where_the_router_does_not() {
    let directory = std::env::temp_dir().join(format!("lithe-static-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("sub")).unwrap();
    std::fs::write(directory.join("index.html"), "<p>index").unwrap();
    std::fs::write(directory.join("sub/page.txt"), "page").unwrap();
    let router = Router::new().route("/api", any(|| async { "api" }));
    let server = server(router).static_dir(&directory).start().unwrap();
    let mut client = Client::connect(&server);
    let (head, body) = client.get("/").response();
    assert_eq!((header(&head, "content-type"), body.as_str()), (Some("text/html"), "<p>index"));
    assert_eq!(client.get("/sub/page.txt").response().1, "page");
    assert_eq!(client.get("/api").response().1, "api");
    assert_eq!(status(&client.get("/../Cargo.toml").response().0), 404);
    assert_eq!(status(&client.get("/missing").response().0), 404);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_missing_directory_is_named_in_the_error() {
    let error = Server::builder().static_dir("no/such/place").start().unwrap_err();
    assert_eq!(error.to_string(), "read no/such/place: entity not found");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let second = Duration::from_secs(1);
    let error = Server::builder().drain_retry(second * 2..=second).start().unwrap_err();
    assert_eq!(error.to_string(), "drain_retry: the window ends before it begins");
    let error = Server::builder().metrics_path("metrics").start().unwrap_err();
    assert_eq!(error.to_string(), "metrics_path: a path begins with a slash");
}

#[test]
fn connections_are_listed_until_they_end() {
    let server = server(hello()).start().unwrap();
    assert_eq!(server.connections().len(), 0);
    let mut first = Client::connect(&server);
    let mut second = Client::connect(&server);
    first.get("/").response();
    second.get("/").response();
    let connections = server.connections();
    assert_eq!((connections.len(), server.connection_count()), (2, 2));
    assert!(connections.iter().all(|c| c.kind == Kind::Http && c.queued_bytes == 0));
    assert_ne!(connections[0].id, connections[1].id);
    let mut peers: Vec<_> = connections.iter().map(|connection| connection.peer).collect();
    let mut locals = [&first, &second].map(|client| client.socket.local_addr().unwrap()).to_vec();
    peers.sort();
    locals.sort();
    assert_eq!(peers, locals);
    assert!(connections[0].since.elapsed().unwrap() < PATIENCE);
    drop(first);
    eventually("one connection is left", || server.connection_count() == 1);
}

#[test]
fn one_connection_is_closed_by_its_number() {
    let server = server(hello()).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").response();
    let id = server.connections()[0].id;
    let mut other = Client::connect(&server);
    other.get("/").response();
    assert!(server.close(id));
    client.closed();
    eventually("it is gone from the list", || server.connection_count() == 1);
    assert!(!server.close(id), "the number is not used again");
    assert!(!server.close(0));
    assert!(!server.close(u64::MAX));
    assert_eq!(other.get("/").response().1, "hello");
}

#[test]
fn all_connections_are_closed_and_new_ones_taken() {
    let server = server(hello()).start().unwrap();
    let mut clients: Vec<_> = (0..5).map(|_| Client::connect(&server)).collect();
    clients.iter_mut().for_each(|client| drop(client.get("/").response()));
    server.close_all();
    clients.iter_mut().for_each(Client::closed);
    assert_eq!(Client::connect(&server).get("/").response().1, "hello");
}

#[test]
fn closing_waits_for_the_response_that_is_on_its_way() {
    let (arrived, arrival) = std::sync::mpsc::channel();
    let release = std::sync::Arc::new(tokio::sync::Notify::new());
    let released = release.clone();
    let slow = move || {
        arrived.send(()).unwrap();
        let released = released.clone();
        async move {
            released.notified().await;
            "late"
        }
    };
    let server = server(Router::new().route("/", get(slow))).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/");
    arrival.recv_timeout(PATIENCE).unwrap();
    server.close_all();
    release.notify_one();
    assert_eq!(client.response().1, "late");
    client.closed();
}

#[test]
fn an_upgrade_by_other_means_keeps_its_place_in_the_registry() {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let upgrade = |mut request: axum::extract::Request| async move {
        tokio::spawn(async move {
            let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
            let mut io = TokioIo::new(upgraded);
            let mut word = [0; 4];
            io.read_exact(&mut word).await.unwrap();
            io.write_all(&word).await.unwrap();
        });
        let headers = [("connection", "upgrade"), ("upgrade", "echo")];
        (axum::http::StatusCode::SWITCHING_PROTOCOLS, headers)
    };
    let server = server(Router::new().route("/", get(upgrade))).max_connections(1).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    assert_eq!(status(&client.head()), 101);
    assert_eq!(status(&Client::connect(&server).get("/").head()), 503, "it still counts");
    client.send("ping");
    assert_eq!(client.rest(), "ping");
    assert_eq!(count(&server, Kind::WebSocket), 0);
}
