import LitheRt.Http.Error
import LitheRt.Runtime.Options

namespace LitheRt

/-- How a server shall run. Sizes are in bytes, times in milliseconds. -/
structure ServerConfig where
  /-- The address to listen on. `::` is for all addresses. -/
  host : String := "127.0.0.1"
  /-- The port to listen on. 0 lets the system choose one (`Server.port`). -/
  port : UInt16 := 0
  /-- A directory. Its files answer the requests for them, and an `index.html` those for where it
  is; all others go to the router. -/
  staticDir : Option System.FilePath := none
  /-- A PEM file with the certificate chain for TLS. -/
  tlsCertFile : Option System.FilePath := none
  /-- A PEM file with the private key for TLS. -/
  tlsKeyFile : Option System.FilePath := none
  /-- A path that answers with the server's metrics, as Prometheus reads them. -/
  metricsPath : Option String := none
  /-- How many threads of the library serve connections. Default: one for each processor. -/
  workers : Setting := .default
  /-- How many connections there may be; one more is told to come back later. Default: 100,000. -/
  maxConnections : Setting := .default
  /-- How many connections one client address may hold. Default: 1,024. -/
  maxConnectionsPerIp : Setting := .default
  /-- How many requests may wait for the event loop; one more is told to come back later.
  Default: 1,024. -/
  maxWaitingRequests : Setting := .default
  /-- The largest head of a request; a larger one is answered with 431. Default: 16 KiB. -/
  maxHeaderBytes : Setting := .default
  /-- The largest body of a request; a larger one is answered with 413. Default: 2 MiB. -/
  maxBodyBytes : Setting := .default
  /-- How long a new connection may take to its first byte, TLS included. Default: 10 s. -/
  handshakeTimeoutMs : Setting := .default
  /-- How long the head of a request may take to arrive. Default: 10 s. -/
  headerTimeoutMs : Setting := .default
  /-- For how long in all a client may leave the server waiting for the body of a request; 500 bytes
  received make good for a second. Default: 20 s. -/
  bodyTimeoutMs : Setting := .default
  /-- How long a handler may take to answer; then the client is told 504. Default: 30 s. -/
  requestTimeoutMs : Setting := .default
  /-- How long a connection may lie idle between two requests. Default: 60 s. -/
  idleTimeoutMs : Setting := .default
  /-- How long a client may take no byte of a response or event stream. Default: 30 s. -/
  writeTimeoutMs : Setting := .default
  /-- Whether requests reach their handlers before their bodies, which `Request.bodyStream`
  reads. -/
  streamBodies : Bool := false
  /-- How long a client is asked to stay away at most when the server drains or is too busy; each is
  given a time of its own. Default: 10 s. -/
  reconnectMs : Setting := .default
  /-- How many handlers may run at a time, each on a thread; a request that would be one more is
  told to come back later. Connections of the event loop do not count. -/
  maxHandlers : Nat := 1024
  /-- Is told of what a handler throws that is no `HttpError`, and of what a WebSocket's handler
  throws; clients are not. By default it is written to the standard error. -/
  onError : IO.Error → IO Unit := fun error => IO.eprintln s!"lithe: {plainError error}"

namespace ServerConfig

/-- Where to listen, as the library wants it. -/
def address (config : ServerConfig) : String :=
  if config.host.contains ':' then s!"[{config.host}]:{config.port}"
  else s!"{config.host}:{config.port}"

/-- The options by the names of the library. -/
def fields (config : ServerConfig) : IO FFI.Fields := do
  let mut fields : FFI.Fields := #[("address", config.address)]
  fields := fields.text? "static_dir" (config.staticDir.map (·.toString))
  fields := fields.text? "tls_cert_file" (config.tlsCertFile.map (·.toString))
  fields := fields.text? "tls_key_file" (config.tlsKeyFile.map (·.toString))
  fields := fields.text? "metrics_path" config.metricsPath
  fields := fields.switch "stream_bodies" config.streamBodies
  fields ← fields.setting "workers" config.workers
  fields ← fields.setting "max_connections" config.maxConnections
  fields ← fields.setting "max_connections_per_ip" config.maxConnectionsPerIp
  fields ← fields.setting "max_waiting_requests" config.maxWaitingRequests
  fields ← fields.setting "max_header_bytes" config.maxHeaderBytes
  fields ← fields.setting "max_body_bytes" config.maxBodyBytes
  fields ← fields.setting "handshake_timeout_ms" config.handshakeTimeoutMs
  fields ← fields.setting "header_timeout_ms" config.headerTimeoutMs
  fields ← fields.setting "body_timeout_ms" config.bodyTimeoutMs
  fields ← fields.setting "request_timeout_ms" config.requestTimeoutMs
  fields ← fields.setting "idle_timeout_ms" config.idleTimeoutMs
  fields ← fields.setting "write_timeout_ms" config.writeTimeoutMs
  fields.setting "reconnect_ms" config.reconnectMs

end ServerConfig

end LitheRt
