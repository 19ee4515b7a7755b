//! Sends back every WebSocket message, as large as 64 MiB and with compression where the client
//! offers it: what the Autobahn test suite is run against (`make autobahn`).
//!
//! ```sh
//! cargo run --release --example ws_echo -- 127.0.0.1:9001
//! ```

use axum::response::Response;
use axum::routing::any;
use axum::{Router, serve};
use lithe::ws::codec::Deflate;
use lithe::ws::{Compression, Config, Socket, WebSocketUpgrade};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("ws://{}", listener.local_addr()?);
    serve(listener, Router::new().route("/", any(echo))).await
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    // Shared windows and no threshold, so that every way to compress is gone.
    let deflate = Deflate::default().context_takeover(true).threshold(0);
    let config = Config::default()
        .max_message_size(64 << 20)
        .max_frame_size(64 << 20)
        .compression(Compression::On(deflate));
    upgrade.config(config).on_upgrade(async |mut socket: Socket| {
        while let Some(message) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}
