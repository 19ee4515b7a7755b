import LitheRt.Http.WebSocket.Frame
import Std.Internal.Async.TCP

/-!
A client for the tests: HTTP over a plain socket, and WebSockets by the package's own frames.
-/

open LitheRt
open Std.Internal.IO.Async
open Std.Net

/-- A connection. -/
structure Client where
  socket : TCP.Socket.Client
  /-- What was received and not read. -/
  received : IO.Ref ByteArray

namespace Client

def connect (port : UInt16) : IO Client := do
  let socket ← TCP.Socket.Client.mk
  (socket.connect (.v4 { addr := .ofParts 127 0 0 1, port })).block
  return { socket, received := ← IO.mkRef .empty }

def send (client : Client) (data : ByteArray) : IO Unit :=
  (client.socket.send data).block

/-- Says that nothing more will be sent. -/
def shutdown (client : Client) : IO Unit :=
  client.socket.shutdown.block

/-- Receives more; false at the end. -/
def more (client : Client) : IO Bool := do
  match ← (client.socket.recv? 65536).block with
  | some data => client.received.modify (· ++ data); return true
  | none => return false

/-- Receives until what was received makes something, which is then taken away. -/
partial def until_ (client : Client) (parse : ByteArray → IO (Option (α × Nat))) : IO α := do
  let received ← client.received.get
  match ← parse received with
  | some (value, used) =>
    client.received.set (received.extract used received.size)
    return value
  | none =>
    if ← client.more then client.until_ parse
    else throw (.userError s!"the connection ended behind {received}")

/-- Receives up to and including that text. -/
def untilText (client : Client) (text : String) : IO String :=
  client.until_ fun received => do
    let wanted := text.toUTF8
    for start in [0:received.size + 1 - wanted.size] do
      let stop := start + wanted.size
      if received.extract start stop == wanted then
        return some ((String.fromUTF8? (received.extract 0 stop)).getD "not UTF-8", stop)
    return none

/-- Receives to the end. -/
partial def rest (client : Client) : IO String := do
  if ← client.more then client.rest
  else return (String.fromUTF8? (← client.received.get)).getD "not UTF-8"

/-- Sends a request over HTTP/1.0, so that the body ends with the connection. -/
def request (client : Client) (line : String) (headers : List String := []) (body : String := "") :
    IO Unit := do
  let length := if body.isEmpty then [] else [s!"Content-Length: {body.utf8ByteSize}"]
  let head := "\r\n".intercalate ([s!"{line} HTTP/1.0", "Host: test"] ++ headers ++ length)
  client.send (head ++ "\r\n\r\n" ++ body).toUTF8

/-- The whole answer to a request. -/
def fetch (port : UInt16) (line : String) (headers : List String := []) (body : String := "") :
    IO String := do
  let client ← connect port
  client.request line headers body
  client.rest

/-- Connects by a WebSocket. -/
def webSocket (port : UInt16) (path : String) : IO Client := do
  let client ← connect port
  client.send ("\r\n".intercalate [s!"GET {path} HTTP/1.1", "Host: test", "Connection: Upgrade",
    "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).toUTF8
  let head ← client.untilText "\r\n\r\n"
  unless head.startsWith "HTTP/1.1 101 " do throw (.userError head)
  return client

def sendFrame (client : Client) (opcode : WSOpcode) (payload : ByteArray) : IO Unit :=
  match WSFrame.of opcode payload (mask? := some { a := 1, b := 2, c := 3, d := 4 }) with
  | .ok frame => client.send frame.encode
  | .error _ => throw (.userError "no such frame")

def sendText (client : Client) (text : String) : IO Unit :=
  client.sendFrame .text text.toUTF8

def receive (client : Client) : IO WSFrame :=
  client.until_ fun received => do
    match WSFrame.decode received with
    | .ok frame? => return frame?
    | .error _ => throw (.userError "the server has broken the protocol")

/-- The next message, as text. -/
def receiveText (client : Client) : IO String := do
  let frame ← client.receive
  unless frame.header.opcode == .text do throw (.userError "no text")
  return (String.fromUTF8? frame.payload).getD "not UTF-8"

/-- The code that the server closes with, which is answered. -/
partial def closeCode (client : Client) : IO Nat := do
  let frame ← client.receive
  if frame.header.opcode == .close then
    client.sendFrame .close frame.payload
    return (frame.payload[0]?.getD 0).toNat * 256 + (frame.payload[1]?.getD 0).toNat
  else client.closeCode

end Client
