//! TLS.
#![cfg(feature = "tls")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use lithe::server::{Builder, Server};
use lithe::sse;
use lithe::transport::Kind;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use support::{Client, PATIENCE, count, eventually, hits, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// A certificate for `localhost` in files that last as long as this.
struct Certificate {
    directory: PathBuf,
    roots: RootCertStore,
}

impl Certificate {
    fn new(test: &str) -> Certificate {
        let directory = std::env::temp_dir().join(format!("lithe-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        Certificate { directory, roots }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn serve(&self, router: Router) -> Builder {
        server(router).tls_pem_files(self.path("cert.pem"), self.path("key.pem"))
    }

    async fn connect(&self, server: &Server, protocols: &[&str]) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(server.local_addr()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn read_until(stream: &mut TlsStream<TcpStream>, end: &str) -> String {
    let mut read = String::new();
    while !read.ends_with(end) {
        read.push(stream.read_u8().await.unwrap().into());
    }
    read
}

#[tokio::test]
async fn http1_is_spoken_over_tls() {
    let certificate = Certificate::new("http1");
    let server = certificate.serve(hello()).start().unwrap();
    for protocols in [&["http/1.1"][..], &[]] {
        let mut stream = certificate.connect(&server, protocols).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        read_until(&mut stream, "\r\n\r\nhello").await;
    }
}

#[tokio::test]
async fn http2_is_agreed_on_by_alpn() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let certificate = Certificate::new("http2");
    let server = certificate.serve(hello()).start().unwrap();
    let stream = certificate.connect(&server, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("https://localhost/").body(Empty::<&[u8]>::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn event_streams_are_taken_over_on_tls_too() {
    let certificate = Certificate::new("events");
    let (give, take) = std::sync::mpsc::channel();
    let stream = move || {
        let (sender, response) = sse::channel();
        give.send(sender).unwrap();
        async { response }
    };
    let server = certificate.serve(Router::new().route("/", get(stream))).start().unwrap();
    let mut client = certificate.connect(&server, &["http/1.1"]).await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    let sender = take.recv_timeout(PATIENCE).unwrap();
    sender.send("one").await.unwrap();
    read_until(&mut client, "b\r\ndata: one\n\n\r\n").await;
    assert_eq!(count(&server, Kind::Sse), 1);
    let report = server.drain(PATIENCE).await;
    assert_eq!((report.drained, report.cut), (1, 0));
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.expect("TLS is closed as it should be");
    assert!(rest.contains("retry: ") && rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[test]
fn a_tls_handshake_that_does_not_come_is_given_up() {
    let certificate = Certificate::new("silent");
    let timeout = Duration::from_millis(100);
    let server = certificate.serve(hello()).handshake_timeout(timeout).start().unwrap();
    Client::connect(&server).closed();
    assert_eq!(hits(&server, "handshake_timeout"), 1);
}

#[test]
fn plain_http_on_a_tls_port_harms_nobody() {
    let certificate = Certificate::new("plain");
    let server = certificate.serve(hello()).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/");
    // A TLS alert may come, or nothing.
    while !client.read_once().unwrap_or_default().is_empty() {}
    eventually("it is gone", || server.connection_count() == 0);
}

fn error(certificates: &Path, key: &Path) -> String {
    Server::builder().tls_pem_files(certificates, key).start().unwrap_err().to_string()
}

#[test]
fn files_that_do_not_serve_are_named_in_the_error() {
    let certificate = Certificate::new("errors");
    let (cert, key) = (certificate.path("cert.pem"), certificate.path("key.pem"));
    let missing = certificate.path("missing.pem");
    let of = |path: &Path, reason: &str| format!("read {}: {reason}", path.display());
    assert_eq!(error(&missing, &key), of(&missing, "entity not found"));
    assert_eq!(error(&cert, &missing), of(&missing, "entity not found"));
    assert_eq!(error(&key, &key), of(&key, "no certificate in it"));
    assert_eq!(error(&cert, &cert), of(&cert, "no private key in it"));
    let stranger = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = certificate.path("other.pem");
    std::fs::write(&other, stranger.signing_key.serialize_pem()).unwrap();
    let reason = format!("not the key of the certificate in {}", cert.display());
    assert_eq!(error(&cert, &other), of(&other, &reason));
}
