import LitheRt.Http.Error
import LitheRt.Http.WebSocket.Message
import LitheRt.Http.WebSocket.Options

namespace LitheRt

/-- How a WebSocket ended. -/
structure WSClose where
  /-- The close code (RFC 6455, §7.4): what the peer sent, or what this side closed with when it was
  first. 1005 when the peer sent none, 1006 when the connection broke. -/
  code : UInt16
  /-- The reason that came with the code, or what went wrong. -/
  reason : String
  /-- Whether both sides have said that they close. -/
  clean : Bool
  deriving BEq, Inhabited, Repr

/-- What the event loop still has to do on a connection whose send queue was full. -/
inductive WSDeferred where
  /-- Send a message. -/
  | send (message : WSMessage)
  /-- Close the connection. -/
  | close (code : UInt16) (reason : String)

/-- What a connection has to know of the event loop that serves it. -/
structure WSLoop where
  /-- The loop's thread. -/
  thread : UInt64
  /-- The connection whose turn it is; 0 for none. -/
  turn : IO.Ref UInt64
  /-- What waits for room in the send queue. While there is something nothing is received. -/
  deferred : IO.Ref (Array WSDeferred)

/-- A WebSocket. It may be used on any task, and kept: what is done with it after its end throws the
error `closed`. -/
structure WSConnection where
  /-- Its number, which no other one ever has in the process. -/
  id : UInt64
  /-- Set when an event loop serves it (`WSEvents`). -/
  loop? : Option WSLoop := none
  deriving Inhabited

instance : BEq WSConnection := ⟨fun a b => a.id == b.id⟩

namespace WSMessage

/-- The message of that kind as the library numbers them: 1 for text, which it has checked, and 2
for bytes. -/
def ofNative (kind : UInt8) (data : ByteArray) : WSMessage :=
  if kind == 1 then
    match String.fromUTF8? data with
    | some string => .text string
    | none => .binary data
  else .binary data

/-- Queues the message, within so many milliseconds. -/
def sendNative (ws : UInt64) (timeoutMs : UInt32) : WSMessage → IO Unit
  | .text string => FFI.wsSendText ws string timeoutMs
  | .binary bytes => FFI.wsSend ws 2 bytes timeoutMs

end WSMessage

namespace WSConnection

/-- Whether the calling thread is the event loop's, in this connection's turn; throws `full` when it
is the loop's in another one's turn. -/
private def inTurn (ws : WSConnection) (loop : WSLoop) (full : IO.Error) : IO Bool := do
  if (← IO.getTID) != loop.thread then return false
  if (← loop.turn.get) == ws.id then return true
  throw full

private def fullError : IO.Error :=
  .otherError 3 "the send queue is full: the client is slower than what it is sent"

/-- Sends within the event loop, or beside it. -/
private def sendInLoop (ws : WSConnection) (loop : WSLoop) (message : WSMessage) : IO Unit := do
  if (← loop.deferred.get).isEmpty then
    try return ← message.sendNative ws.id 0
    catch error => unless isLibraryError error 3 do throw error
  if ← ws.inTurn loop fullError then
    if (← loop.deferred.modifyGet fun d => (d.isEmpty, d.push (.send message))) then
      FFI.wsPause ws.id
  else message.sendNative ws.id FFI.forever

/-- Sends a message: when this returns it is in the send queue, and messages leave in the order in
which they were queued.

While the send queue is full, because the peer is slow, this blocks; a peer that takes nothing for
`WSOptions.peerTimeoutMs` is given up. Within an event loop it never blocks: what does not go to the
connection whose turn it is waits until it does, and meanwhile nothing more is received from
that peer; to another connection it throws `full`.

Errors: `closed`, `full`. -/
def send (ws : WSConnection) (message : WSMessage) : ExceptT HttpError IO Unit :=
  HttpError.lift <| match ws.loop? with
    | none => message.sendNative ws.id FFI.forever
    | some loop => ws.sendInLoop loop message

/-- Sends text. Otherwise it is `send`. -/
def sendText (ws : WSConnection) (text : String) : ExceptT HttpError IO Unit :=
  ws.send (.text text)

/-- Sends bytes. Otherwise it is `send`. -/
def sendBinary (ws : WSConnection) (data : ByteArray) : ExceptT HttpError IO Unit :=
  ws.send (.binary data)

/-- Sends a message if there is room for it in the send queue, and says whether there was. Never
blocks. Errors: `closed`. -/
def trySend (ws : WSConnection) (message : WSMessage) : ExceptT HttpError IO Bool :=
  HttpError.lift do
    if let some loop := ws.loop? then
      unless (← loop.deferred.get).isEmpty do return false
    try message.sendNative ws.id 0; return true
    catch error => if isLibraryError error 3 then return false else throw error

/-- Waits for the next message, for `timeoutMs` milliseconds at most if given. None says that the
connection has ended, whichever side has closed it, and every message from before was received.
Pings, pongs and fragments are taken care of.

Blocks. Errors: `timeout`, `wrong_state` when an event loop receives the messages. -/
def receive (ws : WSConnection) (timeoutMs : Option Nat := none) :
    ExceptT HttpError IO (Option WSMessage) :=
  HttpError.lift do
    try
      let (kind, data) ← FFI.wsReceive ws.id (timeout timeoutMs)
      return if kind == 0 then none else some (.ofNative kind data)
    catch error => if isLibraryError error 4 then return none else throw error
where
  /-- What the library takes for that time. -/
  timeout : Option Nat → UInt32
    | some ms => (min ms 0x7FFFFFFF).toUInt32
    | none => FFI.forever

/-- Throws what the library would, when nobody could be told of it later. -/
private def checkClose (code : UInt16) (reason : String) : IO Unit := do
  unless (1000 ≤ code && code ≤ 1003) || (1007 ≤ code && code ≤ 1014) ||
      (3000 ≤ code && code ≤ 4999) do
    throw (.otherError 5 s!"{code} is no close code to send")
  if reason.utf8ByteSize > 123 then
    throw (.otherError 7 s!"a reason of {reason.utf8ByteSize} bytes, which has at most 123")

/-- Closes the connection after what is queued: whoever receives on it gets none, and whoever sends
the error `closed`. Does nothing when it has ended. The code is 1000 to 1003, 1007 to 1014, or from
3000 to 4999; the reason has at most 123 bytes.

Never blocks. Errors: `bad_argument`, `too_large`. -/
def close (ws : WSConnection) (code : UInt16 := 1000) (reason : String := "") :
    ExceptT HttpError IO Unit :=
  HttpError.lift do
    try
      if let some loop := ws.loop? then
        if !(← loop.deferred.get).isEmpty && (← IO.getTID) == loop.thread then
          checkClose code reason
          return ← loop.deferred.modify (·.push (.close code reason))
      FFI.wsClose ws.id code.toUInt32 reason
    catch error => unless isLibraryError error 4 do throw error

/-- How the connection ended; none while it has not, which it has when the peer has answered a
close, or is given up. Waits for that for `timeoutMs` milliseconds at most. Errors: `closed` when
the connection's handler has returned. -/
def closed? (ws : WSConnection) (timeoutMs : Nat := 0) : ExceptT HttpError IO (Option WSClose) :=
  HttpError.lift do
    let info? ← FFI.wsCloseInfo ws.id (min timeoutMs 0x7FFFFFFF).toUInt32
    return info?.map fun (code, clean, reason) => { code := code.toUInt16, clean, reason }

/-- The subprotocol that was agreed on; empty when there is none. Never blocks. Errors: `closed`
when the connection's handler has returned. -/
def protocol (ws : WSConnection) : ExceptT HttpError IO String :=
  HttpError.lift (FFI.wsProtocol ws.id)

/-- How many bytes wait to be sent. Never blocks. Errors: `closed` when the connection's handler has
returned. -/
def queuedBytes (ws : WSConnection) : ExceptT HttpError IO Nat :=
  HttpError.lift do return (← FFI.wsQueued ws.id).toNat

end WSConnection

end LitheRt
