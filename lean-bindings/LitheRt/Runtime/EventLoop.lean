import LitheRt.Http.Router
import LitheRt.Runtime.Answer
import LitheRt.Runtime.Config
import Std.Data.HashSet
import Std.Sync.Mutex

/-!
# The task that takes what happens on a server

One dedicated task waits for all that happens. It starts a dedicated task for each request that has
a handler, and runs the callbacks of `WSEvents` by itself.
-/

namespace LitheRt

namespace EventLoop

/-- The threads of a server. -/
structure Threads where
  /-- How many handlers were begun and have not ended. -/
  handlers : Nat := 0
  /-- The ids of the threads on which the program's code runs. -/
  ids : Std.HashSet UInt64 := {}
  /-- Whether the event loop has ended. -/
  loopEnded : Bool := false
  /-- Whether the shutdown was begun. -/
  stopping : Bool := false
  /-- Whether all of the server has ended. -/
  stopped : Bool := false

/-- What the tasks of a server share. -/
structure Shared where
  /-- The server's handle. -/
  server : UInt64
  /-- How it runs. -/
  config : ServerConfig
  /-- What it does. -/
  router : Router
  /-- Set when it shuts down. -/
  shutdown : IO.Ref Bool
  /-- Its threads. -/
  threads : Std.Mutex Threads
  /-- Is notified when `threads` changes. -/
  changed : Std.Condvar

namespace Shared

/-- Changes what is known of the threads. -/
def update (shared : Shared) (f : Threads → Threads) : BaseIO Unit := do
  shared.threads.atomically (modify f)
  shared.changed.notifyAll

/-- Waits until the threads are so. -/
def await (shared : Shared) (done : Threads → Bool) : BaseIO Unit :=
  shared.threads.atomicallyOnce shared.changed (return done (← get)) (pure ())

/-- Tells the program of an error. -/
def report (shared : Shared) (error : IO.Error) : IO Unit := do
  try shared.config.onError error catch _ => pure ()

/-- Runs the program's code on this thread. -/
def onThread (shared : Shared) (action : IO Unit) : BaseIO Unit := do
  let id ← IO.getTID
  shared.update fun t => { t with ids := t.ids.insert id }
  match ← (try action catch error => shared.report error).toBaseIO with
  | .ok () | .error _ => shared.update fun t => { t with ids := t.ids.erase id }

end Shared

/-- A token for one request. -/
private def newToken (shared : Shared) : IO CancelToken :=
  return { ← CancelToken.new with shutdown := shared.shutdown }

/-- Answers a request with an error, unless it was answered already or its client has gone. -/
private def apologize (request : UInt64) (cancel : CancelToken) (error : HttpError) : IO Unit := do
  try Answer.respond request cancel (Response.ofError error) catch _ => pure ()

/-- Answers a request by a handler. -/
private def answer (shared : Shared) (request : UInt64) (req : Request)
    (params : List (String × String)) (handler : Handler) : IO Unit := do
  let cancel ← newToken shared
  try
    let ctx := { req := ← Answer.readBody request req, params, cancel }
    let response ← match ← (handler ctx).run with
      | .ok response => pure response
      | .error error => pure (Response.ofError error)
    Answer.respond request cancel response
  catch error =>
    shared.report error
    apologize request cancel .internal

/-- Tells a client to come back later; an `EventSource`, which gives up on anything but success, by
an empty stream. -/
private def refuse (shared : Shared) (request : UInt64) (req : Request) : IO Unit := do
  let response := Response.ofError (.unavailable "too many requests at a time")
  try
    if req.headers.values "accept" |>.contains "text/event-stream" then
      FFI.sseFree (← FFI.withOptions .sse #[("retry_ms", "3000")] (FFI.sseOpen request))
    else Answer.respond request (← newToken shared) (response.withHeader "retry-after" "1")
  finally FFI.requestFree request

/-- Runs the program's code on a thread of its own, unless there are too many, and says whether. -/
private def spawn (shared : Shared) (action : IO Unit) : IO Bool := do
  let admitted ← shared.threads.atomically do
    let threads ← get
    if threads.handlers < shared.config.maxHandlers then
      set { threads with handlers := threads.handlers + 1 }
      return true
    else return false
  if admitted then
    discard <| IO.asTask (prio := .dedicated) do
      shared.onThread action
      shared.update fun t => { t with handlers := t.handlers - 1 }
  return admitted

/-- Answers a request on a thread of its own, and frees it. -/
private def handle (shared : Shared) (request : UInt64) (req : Request)
    (params : List (String × String)) (handler : Handler) : IO Unit := do
  let action : IO Unit := do
    try answer shared request req params handler finally FFI.requestFree request
  unless ← spawn shared action do refuse shared request req

/-- Answers a question of who may do what, on a thread of its own, and frees it. When there are too
many the client is refused, and may try again. -/
private def authorize (shared : Shared) (question : UInt64) : IO Unit := do
  let unavailable : IO Unit := do
    try Authorization.answer question (.refuse .unavailable) finally FFI.authorizationFree question
  let some authorizer := shared.router.authorizer? | unavailable
  let action : IO Unit := do
    try Authorization.answer question (← authorizer (← Authorization.read question))
    finally FFI.authorizationFree question
  unless ← spawn shared action do unavailable

/-- Answers at once, and frees the request. -/
private def answerNow (shared : Shared) (request : UInt64) (response : Response) : IO Unit := do
  try Answer.respond request (← newToken shared) response finally FFI.requestFree request

/-- Has a client connect to the event loop. -/
private def connect (shared : Shared) (sink : WSSink) (request : UInt64) (req : Request)
    (params : List (String × String)) : IO Unit := do
  let cancel ← newToken shared
  try
    match ← (sink.connect { req, params, cancel } request).run with
    | .ok () => pure ()
    | .error error => apologize request cancel error
  catch error =>
    shared.report error
    apologize request cancel .internal
  finally FFI.requestFree request

/-- Finds the route of a request. -/
private def dispatch (shared : Shared) (sinks : Array (Option WSSink)) (request : UInt64) :
    IO Unit := do
  let req ← Answer.readRequest request
  match shared.router.choose req.method req.path req.isWebSocket with
  | .route number params =>
    match sinks[number]?.join, shared.router.routes[number]? with
    | some sink, _ => connect shared sink request req params
    | none, some { endpoint := .handler handler, .. } => handle shared request req params handler
    | none, _ => FFI.requestFree request
  | .otherMethods allowed =>
    let allow := ", ".intercalate (allowed.map toString)
    let response := if req.method == .OPTIONS then Response.empty else .ofError .methodNotAllowed
    answerNow shared request (response.withHeader "allow" allow)
  | .onlyWebSocket => answerNow shared request (.ofError .upgradeRequired)
  | .nothing =>
    match shared.router.fallback with
    | some handler => handle shared request req [] handler
    | none => answerNow shared request (.ofError .notFound)

/-- Takes one event of the batch. -/
private def take (shared : Shared) (sinks : Array (Option WSSink)) (batch : FFI.Batch)
    (index : UInt32) : IO Unit := do
  let kinds ← FFI.batchKinds batch index
  let handle ← FFI.batchHandle batch index
  let sink? : IO (Option WSSink) := do
    return sinks[(← FFI.batchUserData batch index).toNat]?.join
  match kinds &&& 0xFF with
  | 1 => dispatch shared sinks handle
  | 3 =>
    if let some sink ← sink? then
      sink.message handle (.ofNative (kinds >>> 16).toUInt8 (← FFI.batchData batch index))
  | 4 => if let some sink ← sink? then sink.writable handle
  | 5 =>
    match (kinds >>> 8) &&& 0xFF with
    | 3 =>
      let reason := (String.fromUTF8? (← FFI.batchData batch index)).getD ""
      let code := (← FFI.batchCode batch index).toUInt16
      match ← sink? with
      | some sink => sink.close handle { code, reason, clean := (kinds >>> 24) == 1 }
      | none => FFI.wsFree handle
    | 4 => FFI.sseFree handle
    | 6 => FFI.responseFree handle
    | _ => return
  | 8 => authorize shared handle
  | _ => return

/-- How many events are taken at a time at most. -/
private def batchCapacity : UInt32 := 256

/-- Takes what happens on a server until it is stopped. Blocks; runs the callbacks of `WSEvents`. -/
partial def run (shared : Shared) : IO Unit := do
  let sinks ← shared.router.routes.mapIdxM fun number route => match route.endpoint with
    | .events start => return some (← start number.toUInt64)
    | .handler _ => return none
  let batch ← FFI.batchCreate batchCapacity
  let rec go : IO Unit := do
    let count? ← try some <$> FFI.batchWait batch shared.server FFI.forever
      catch error => if isLibraryError error 11 then pure none else throw error
    if let some count := count? then
      for index in [0:count.toNat] do
        try take shared sinks batch index.toUInt32 catch error => shared.report error
      go
  try go finally for sink in sinks do if let some sink := sink then sink.stop

end EventLoop

end LitheRt
