import LitheRt.Http.Response

/-!
# Answering a request with what its handler has returned
-/

namespace LitheRt.Answer

/-- What the library has of a request, but for its body. -/
def readRequest (request : UInt64) : IO Request := do
  let texts ← FFI.requestTexts request
  return {
    method := .ofString texts[0]!
    path := texts[1]!
    query := texts[2]!
    peer := texts[3]!
    protocols := texts[4]!
    headers := ← FFI.requestHeaders request
    lastEventId := ← FFI.requestLastEventId request
    isWebSocket := ← FFI.requestIsWebSocket request
  }

/-- How many bytes of a streamed body are read at once at most. -/
private def readBytes : UInt32 := 65536

/-- The request with its body. -/
def readBody (request : UInt64) (req : Request) : IO Request := do
  match ← FFI.requestBody request with
  | some body => return { req with body }
  | none => return { req with bodyStream := some { next := do
      let piece ← plainly (FFI.requestRead request readBytes FFI.forever)
      return if piece.isEmpty then none else some piece } }

/-- Whether the client has gone, or was told that its page may not connect, which is nobody's error. -/
private def isGone (error : IO.Error) : Bool :=
  [1, 11, 12].any (isLibraryError error)

/-- Runs an action that a connection's end may cut short. -/
private def untilGone (action : IO Unit) : IO Unit := do
  try action catch error => unless isGone error do throw error

/-- The time to retry as the library takes it, for which 0 is none: the nearest that it can send. -/
def nativeRetryMs : Option Nat → UInt64
  | none => 0
  | some ms => (max 1 (min ms (2 ^ 63 - 1))).toUInt64

/-- Hands an event to the library. -/
def sendEvent (sse : UInt64) (event : SSEEvent) : IO Unit :=
  let bit (field? : Option String) (bit : UInt8) := if field?.isSome then bit else 0
  let fields := bit event.data 1 ||| bit event.event? 2 ||| bit event.id? 4 ||| bit event.comment? 8
  FFI.sseSend sse fields (event.data.getD "") (event.event?.getD "") (event.id?.getD "")
    (event.comment?.getD "") (nativeRetryMs event.retryMs?) FFI.forever

/-- How long a server that shuts down may take to part from a client, in milliseconds. -/
private def partingMs : UInt32 := 1000

/-- Sends what the source gives as an event stream of the library's. -/
private partial def sendEvents (request : UInt64) (cancel : CancelToken) (source : SSESource) :
    IO Unit := do
  let fields ← FFI.Fields.setting #[] "keep_alive_ms" source.keepAliveMs
  let fields ← fields.setting "retry_ms" source.retryMs
  let sse ← FFI.withOptions .sse fields (FFI.sseOpen request)
  cancel.connection.set <| some fun ms => do
    try FFI.sseWaitClosed sse ms catch _ => return true
  let rec go : IO Unit := do
    if ← cancel.isCanceled then return
    if let some event ← source.next then
      sendEvent sse event
      go
  try untilGone go finally
    -- A server that shuts down parts from the client itself, and tells it when to come back.
    if ← cancel.shutdown.get then
      discard <| try FFI.sseWaitClosed sse partingMs catch _ => pure true
    FFI.sseFree sse

/-- Sends the pieces of a body as they come. -/
private partial def sendPieces (request : UInt64) (cancel : CancelToken) (response : Response)
    (stream : BodyStream) : IO Unit := do
  let handle ← FFI.requestRespondStream request response.status.code.toUInt32 response.headers 0
  cancel.connection.set <| some fun ms => do
    try FFI.responseWaitClosed handle ms catch _ => return true
  let rec go : IO Unit := do
    match ← stream.next with
    | some piece =>
      FFI.responseWrite handle piece FFI.forever
      go
    | none => FFI.responseFinish handle
  try untilGone go finally FFI.responseFree handle

/-- Whether the library's own event stream says all that the response does. -/
private def isPlainStream (response : Response) : Bool :=
  response.status == .ok && response.headers.all fun (name, value) =>
    match name.toLower with
    | "content-type" => value == "text/event-stream"
    | "cache-control" => true
    | _ => false

/-- Has comments sent while the events of a stream keep it waiting, for one whose headers the
library's own event streams do not have. -/
private partial def keptAlive (cancel : CancelToken) (source : SSESource) (stream : BodyStream) :
    IO BodyStream := do
  let period? : Option Nat := match source.keepAliveMs with
    | .default => some 15000
    | .of ms => some ms
    | .off => none
  let some period := period? | return stream
  let pending : IO.Ref (Option (Task (Except IO.Error (Option ByteArray)))) ← IO.mkRef none
  let rec wait (task : Task (Except IO.Error (Option ByteArray))) (left : Nat) :
      IO (Option ByteArray) := do
    if ← IO.hasFinished task then
      pending.set none
      IO.ofExcept task.get
    else if ← cancel.isCanceled then return none
    else if left == 0 then return some ":\n\n".toUTF8
    else
      IO.sleep (min left 50).toUInt32
      wait task (left - min left 50)
  return { stream with next := do
    let task ← match ← pending.get with
      | some task => pure task
      | none => IO.asTask (prio := .dedicated) stream.next
    pending.set task
    wait task period }

/-- Answers a request. Blocks until all was sent, if it is a stream. -/
def respond (request : UInt64) (cancel : CancelToken) (response : Response) : IO Unit := do
  if let some takeover := response.takeover then
    untilGone (takeover request)
  else if let some stream := response.bodyStream then
    try
      match stream.events? with
      | some source =>
        if isPlainStream response then sendEvents request cancel source
        else sendPieces request cancel response (← keptAlive cancel source stream)
      | none => sendPieces request cancel response stream
    finally stream.close
  else untilGone <|
    FFI.requestRespond request response.status.code.toUInt32 response.headers response.body

end LitheRt.Answer
