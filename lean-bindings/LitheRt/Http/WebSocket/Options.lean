import LitheRt.Runtime.Options

namespace LitheRt

/-- How a WebSocket shall behave. Sizes are in bytes, times in milliseconds. -/
structure WSOptions where
  /-- The subprotocols that the program speaks, the most wanted first. The first that the client
  offers too is agreed on. -/
  protocols : List String := []
  /-- The pages that may connect, as a browser names them: origins such as
  `https://app.example.com`, or `*` for all. Default: pages from the server's own host. A client
  that is no browser names none, and may always connect. -/
  origins : List String := []
  /-- The largest message that is received; a larger one closes the connection with 1009.
  Default: 16 MiB. -/
  maxMessageBytes : Setting := .default
  /-- How much may wait to be sent before `send` waits. Default: 1 MiB. -/
  sendQueueBytes : Setting := .default
  /-- How much may wait for `receive` before the connection is no longer read, so that TCP slows the
  peer down. Default: 256 KiB. -/
  receiveQueueBytes : Setting := .default
  /-- How many messages a peer may send per second; more close the connection with 1008.
  Default: no limit. -/
  maxMessagesPerSecond : Setting := .default
  /-- After how long without a byte from the peer it is sent a ping. Default: 25 s. -/
  pingIntervalMs : Setting := .default
  /-- How long after a ping without an answer, or without taking a byte of what is sent to it, a
  peer counts as dead. Default: 20 s. Cannot be off. -/
  peerTimeoutMs : Setting := .default
  /-- After how long without a message from the peer the connection is closed with 1001.
  Default: never. -/
  idleTimeoutMs : Setting := .default
  /-- How long the peer may take to answer a close before it is cut. Default: 5 s. Cannot be off. -/
  closeTimeoutMs : Setting := .default
  /-- Whether messages of 1 KiB and more are compressed for clients that offer it. That costs time,
  and secrets beside text that an attacker chooses can be guessed from the size of the result. -/
  compression : Bool := false
  deriving Inhabited

/-- The options by the names of the library. -/
def WSOptions.fields (options : WSOptions) : IO FFI.Fields := do
  let mut fields : FFI.Fields := #[]
  unless options.protocols.isEmpty do
    fields := fields.push ("protocols", ",".intercalate options.protocols)
  unless options.origins.isEmpty do
    fields := fields.push ("origins", ",".intercalate options.origins)
  fields := fields.switch "compression" options.compression
  fields ← fields.setting "max_message_bytes" options.maxMessageBytes
  fields ← fields.setting "send_queue_bytes" options.sendQueueBytes
  fields ← fields.setting "receive_queue_bytes" options.receiveQueueBytes
  fields ← fields.setting "max_messages_per_second" options.maxMessagesPerSecond
  fields ← fields.setting "ping_interval_ms" options.pingIntervalMs
  fields ← fields.setting "peer_timeout_ms" options.peerTimeoutMs
  fields ← fields.setting "idle_timeout_ms" options.idleTimeoutMs
  fields.setting "close_timeout_ms" options.closeTimeoutMs

/-- Looks whether the options can be set. Errors: when they cannot. -/
def WSOptions.check (options : WSOptions) : IO Unit := do
  FFI.withOptions .ws (← options.fields) fun _ => return ()

end LitheRt
