use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpSocket;

/// Long enough for a busy machine, and the same for whatever should happen at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must happen, and says what did not.
pub(crate) async fn within_reason<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("waited in vain for {what:?}"))
}

/// A port on which nothing listens until another process does: as long as the socket is kept, the
/// system gives the port to nobody who has not asked for it by number.
pub(crate) fn reserve_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A proxy in front of a server, stopped when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    process: Child,
    _port: TcpSocket,
    _directory: TempDir,
}

impl Proxy {
    /// nginx with `docs/deploy/nginx.conf`, included as from `/etc/nginx/conf.d`.
    pub(crate) fn nginx(upstream: SocketAddr) -> Self {
        Proxy::start("nginx", |directory, address| {
            let site =
                documented("nginx.conf", upstream, "listen 80;", &format!("listen {address};"));
            fs::write(directory.join("lithe.conf"), site).unwrap();
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {kind};\n"))
                .concat();
            // In one process, which is all there is to stop.
            let main = format!(
                "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\n\
                 http {{\naccess_log off;\n{temporary}include lithe.conf;\n}}\n"
            );
            fs::write(directory.join("nginx.conf"), main).unwrap();
            let mut command = Command::new("nginx");
            command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(directory);
            command
        })
    }

    /// Caddy with `docs/deploy/Caddyfile`, without TLS.
    pub(crate) fn caddy(upstream: SocketAddr) -> Self {
        Proxy::start("Caddy", |directory, address| {
            let site = documented(
                "Caddyfile",
                upstream,
                "app.example.com {",
                &format!("http://{address} {{"),
            );
            let main = format!("{{\n\tadmin off\n}}\n{site}");
            fs::write(directory.join("Caddyfile"), main).unwrap();
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config"]);
            command.arg(directory.join("Caddyfile")).env("HOME", directory);
            command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
            command
        })
    }

    fn start(name: &str, command: impl Fn(&Path, SocketAddr) -> Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let (port, address) = reserve_port();
        let process = command(directory.path(), address)
            .env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} cannot be run ({error}): `make test-deps` installs it")
            });
        let mut proxy = Proxy { address, process, _port: port, _directory: directory };
        assert!(proxy.listens(), "{name} does not start:\n{}", fs::read_to_string(log).unwrap());
        proxy
    }

    /// Whether the process came to accept connections, rather than to an end.
    fn listens(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A configuration out of the documentation, for this server and another place to listen.
fn documented(file: &str, upstream: SocketAddr, listen: &str, instead: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy").join(file);
    let text = fs::read_to_string(path).unwrap();
    let server = "127.0.0.1:8080";
    assert_eq!(text.matches(listen).count(), 1, "{file} is not what this test knows");
    assert_eq!(text.matches(server).count(), 1, "{file} is not what this test knows");
    text.replace(listen, instead).replace(server, &upstream.to_string())
}
