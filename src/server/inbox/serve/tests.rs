//! Bodies that are streamed over HTTP/2, both ways; over HTTP/1 the programs in C test them.

use std::convert::Infallible;
use std::thread;

use axum::http::{HeaderMap, Request, Response};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::*;
use crate::server::Server;
use crate::server::inbox::{Route, Settings};
use crate::server::response::{StreamedResponse, WriteError};
use crate::server::upload::ReadError;

const PIECE: usize = 64 * 1024;
const PIECES: usize = 128;
/// Far more than the windows of HTTP/2 and all queues hold.
const LEN: usize = PIECE * PIECES;

type Client = SendRequest<Body>;
type Host = Box<crate::server::request::Request>;

/// A server whose requests are streamed, a client, and a host's hold on its requests.
async fn start() -> (Server, Arc<Inbox>, Client) {
    let inbox = Inbox::new(10, Duration::MAX, Duration::from_secs(1)..=Duration::from_secs(10));
    let settings =
        Settings { max_body_bytes: Some(usize::MAX), stream_body: Some(true), timeout: None };
    inbox.routes().add(None, "/", Route { settings, ..Route::default() }).unwrap();
    let builder = Server::builder().host_routes(inbox.routes().clone()).workers(1);
    let server = builder.router(inbox.router(None)).start().unwrap();
    let socket = TcpStream::connect(server.local_addr()).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    (server, inbox, client)
}

/// Sends a request; the answer comes later.
fn send(client: &Client, body: Body) -> tokio::task::JoinHandle<hyper::Result<Response<Incoming>>> {
    let mut client = client.clone();
    let request = Request::post("http://localhost/").body(body).unwrap();
    tokio::spawn(async move { client.send_request(request).await })
}

/// A body that is put in piece by piece, and breaks off when it is told so.
fn fed() -> (UnboundedSender<Result<Bytes, std::io::Error>>, Body) {
    let (feed, pieces) = unbounded_channel();
    let pieces = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    (feed, Body::from_stream(pieces))
}

fn upload(request: &Host) -> Arc<Upload> {
    match &request.content {
        Content::Streamed(upload) => upload.clone(),
        Content::Whole(_) => panic!("it is not streamed"),
    }
}

/// Does what a host does that blocks.
async fn host<T: Send + 'static>(
    inbox: &Arc<Inbox>,
    serve: impl FnOnce(Host) -> T + Send + 'static,
) -> T {
    let inbox = inbox.clone();
    tokio::task::spawn_blocking(move || serve(inbox.take(None).unwrap())).await.unwrap()
}

fn respond_stream(request: &Host) -> StreamedResponse {
    request.respond_stream(StatusCode::OK, HeaderMap::new(), None, 4 * PIECE).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_go_both_ways_at_once() {
    let (_server, inbox, client) = start().await;
    let pieces = (0..PIECES).map(|n| Ok::<_, Infallible>(Bytes::from(vec![n as u8; PIECE])));
    let answer = send(&client, Body::from_stream(stream::iter(pieces)));
    let echoed = host(&inbox, |request| {
        let (upload, response) = (upload(&request), respond_stream(&request));
        let mut echoed = 0;
        loop {
            let piece = upload.read(PIECE, None).unwrap();
            if piece.is_empty() {
                response.finish().unwrap();
                return echoed;
            }
            response.write_blocking(&piece, None).unwrap();
            assert!(response.queued_bytes() <= 4 * PIECE);
            echoed += piece.len();
        }
    });
    let got = async { answer.await.unwrap().unwrap().into_body().collect().await.unwrap() };
    let (echoed, got) = tokio::join!(echoed, got);
    assert_eq!(echoed, LEN);
    let got = got.to_bytes();
    assert_eq!(got.len(), LEN);
    assert!(got.chunks(PIECE).enumerate().all(|(n, piece)| piece.iter().all(|b| *b == n as u8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_resets_its_upload_is_noticed() {
    let (_server, inbox, client) = start().await;
    let (feed, body) = fed();
    let answer = send(&client, body);
    feed.send(Ok("begun".into())).unwrap();
    let read = host(&inbox, move |request| {
        let upload = upload(&request);
        assert_eq!(upload.read(9, None).unwrap(), "begun");
        feed.send(Err(std::io::Error::other("changed my mind"))).unwrap();
        upload.read(9, None)
    });
    assert_eq!(read.await, Err(ReadError::Closed));
    assert!(answer.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_resets_its_download_is_noticed() {
    let (_server, inbox, client) = start().await;
    let answer = send(&client, Body::empty());
    let written = host(&inbox, |request| {
        let response = respond_stream(&request);
        thread::spawn(move || {
            loop {
                if let Err(error) = response.write_blocking(&[0; PIECE], None) {
                    return error;
                }
            }
        })
    });
    let writer = written.await;
    let mut answer = answer.await.unwrap().unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    let error = tokio::task::spawn_blocking(move || writer.join().unwrap()).await.unwrap();
    assert_eq!(error, WriteError::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn response_that_is_given_up_is_reset_and_the_connection_goes_on() {
    let (_server, inbox, client) = start().await;
    let answer = send(&client, Body::empty());
    host(&inbox, |request| {
        let response = respond_stream(&request);
        response.try_write(b"begun").unwrap();
    })
    .await;
    let broken = match answer.await.unwrap() {
        Ok(answer) => answer.into_body().collect().await.is_err(),
        Err(_) => true,
    };
    assert!(broken);

    let answer = send(&client, Body::empty());
    host(&inbox, |request| request.respond(StatusCode::OK.into_response()).unwrap()).await;
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_is_answered_early_leaves_the_connection_to_others() {
    let (_server, inbox, client) = start().await;
    // More of them than the connection's window has room for.
    for _ in 0..4 {
        let answer = send(&client, Body::from(vec![7; LEN]));
        host(&inbox, |request| {
            assert_eq!(upload(&request).read(1, None).unwrap(), [7][..]);
            request.respond(StatusCode::UNAUTHORIZED.into_response()).unwrap();
        })
        .await;
        assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}

/// A host that does not read keeps the client from sending, but for the windows.
#[tokio::test(flavor = "multi_thread")]
async fn upload_that_is_not_read_waits_with_the_client() {
    let (_server, inbox, client) = start().await;
    let (taken, mut takes) = unbounded_channel();
    let pieces = stream::iter(0..PIECES).map(move |_| {
        taken.send(()).unwrap();
        Ok::<_, Infallible>(Bytes::from(vec![7; PIECE]))
    });
    let answer = send(&client, Body::from_stream(pieces));
    let request = host(&inbox, |request| {
        upload(&request).read(1, None).unwrap();
        request
    })
    .await;
    let mut sent = 0;
    while let Ok(Some(())) = tokio::time::timeout(Duration::from_millis(300), takes.recv()).await {
        sent += PIECE;
    }
    assert!(sent <= LEN / 2, "{sent}");
    request.respond(StatusCode::OK.into_response()).unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
}
