//! The same services by axum's own means, written as its examples are: the baseline.

use std::convert::Infallible;
use std::io::{self, Write};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocketUpgrade};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::broadcast;

type Channel = broadcast::Sender<Utf8Bytes>;

/// Publications that may wait for the slowest subscriber; more than any burst.
const CAPACITY: usize = 4096;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if matches!(message, Message::Text(_) | Message::Binary(_))
                && socket.send(message).await.is_err()
            {
                return;
            }
        }
    })
}

async fn publish(upgrade: WebSocketUpgrade, State(channel): State<Channel>) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                // Without subscribers there is nobody to tell.
                let _ = channel.send(text);
            }
        }
    })
}

async fn subscribe(upgrade: WebSocketUpgrade, State(channel): State<Channel>) -> Response {
    let mut publications = channel.subscribe();
    upgrade.on_upgrade(async move |mut socket| {
        loop {
            tokio::select! {
                publication = publications.recv() => {
                    let Ok(text) = publication else { return };
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
            }
        }
    })
}

async fn stream(
    State(channel): State<Channel>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = unfold(channel.subscribe(), async |mut publications| {
        let text = publications.recv().await.ok()?;
        Some((Ok(Event::default().data(text.as_str())), publications))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(4096)
}

fn main() -> io::Result<()> {
    lithe_bench::net::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = Router::new()
            .route("/", any(echo))
            .route("/pub", any(publish))
            .route("/sub", any(subscribe))
            .route("/sse", get(stream))
            .with_state(Channel::new(CAPACITY));
        let listener = listen()?;
        println!("{}", listener.local_addr()?);
        io::stdout().flush()?;
        let listener = listener.tap_io(|socket| {
            // It only costs latency where it fails.
            let _ = socket.set_nodelay(true);
        });
        axum::serve(listener, router).await
    })
}
