//! What a host configures reaches its clients: TLS, files, metrics, limits, and HTTP/2 with a
//! WebSocket in it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lithe_ffi_tests::{Linkage, Program, compile, root, scratch_dir};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Longer than anything takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

type Client = SendRequest<Full<Bytes>>;

/// A directory with a file, and a certificate for `localhost` beside it.
struct Files {
    directory: PathBuf,
    roots: RootCertStore,
}

impl Files {
    fn new() -> Files {
        let directory = scratch_dir("configured");
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::create_dir_all(directory.join("public")).unwrap();
        std::fs::write(directory.join("public/file.txt"), "from a file").unwrap();
        std::fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        Files { directory, roots }
    }

    fn arguments(&self) -> [PathBuf; 3] {
        ["public", "cert.pem", "key.pem"].map(|name| self.directory.join(name))
    }

    async fn connect(&self, port: u16) -> Client {
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
                .await
                .unwrap();
        tokio::spawn(connection);
        client
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn ask(client: &mut Client, method: &str, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .body(Full::new(body.to_owned().into()))
        .unwrap();
    let response = client.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Opens a WebSocket over HTTP/2 (RFC 8441).
async fn handshake(client: &mut Client) -> Response<hyper::body::Incoming> {
    let request = || {
        let mut request = Request::connect("https://localhost/ws")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", "other, echo")
            .header("origin", "https://elsewhere.example")
            .body(Full::default())
            .unwrap();
        request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        request
    };
    // The client knows that this is on offer once the server's settings are there.
    loop {
        match client.send_request(request()).await {
            Ok(response) => return response,
            Err(_) => client.ready().await.unwrap(),
        }
    }
}

async fn check(files: &Files, port: u16) {
    let mut client = files.connect(port).await;
    let ok = |body: &str| (StatusCode::OK, body.to_owned());
    assert_eq!(ask(&mut client, "GET", "/a/b?c", "").await, ok("localhost/a/b"));
    assert_eq!(ask(&mut client, "GET", "/file.txt", "").await, ok("from a file"));
    assert_eq!(ask(&mut client, "POST", "/file.txt", "0123456789").await, ok("localhost/file.txt"));
    let (status, _) = ask(&mut client, "POST", "/", "0123456789+").await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, metrics) = ask(&mut client, "GET", "/metrics", "").await;
    assert!(status.is_success() && metrics.contains("lithe_"), "{metrics}");

    let response = handshake(&mut client).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["sec-websocket-protocol"], "echo");
    let upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    for message in [Message::text("over HTTP/2"), Message::binary(vec![7; 100_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        assert!(message.is_close());
    }
    assert_eq!(ask(&mut client, "GET", "/end", "").await, ok("localhost/end"));
}

#[test]
fn every_setting_has_its_effect() {
    let source = |name: &str| root().join("ffi-tests/c").join(name);
    let sources = [source("configured.c"), source("check.c")];
    let program = compile("configured", &sources, Linkage::Static);
    for start in [Program::start, Program::start_in_valgrind_with_tls] {
        let files = Files::new();
        let mut program = start(&program, files.arguments());
        let port = program.line().parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let checked = async { tokio::time::timeout(PATIENCE, check(&files, port)).await };
        runtime.block_on(checked).expect("stuck");
        drop(runtime);
        program.finish();
    }
}
