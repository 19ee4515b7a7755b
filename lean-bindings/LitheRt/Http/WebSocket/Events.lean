import LitheRt.Http.WebSocket.Handler
import Std.Data.HashMap

/-!
# WebSockets without a thread for each
-/

namespace LitheRt

/-- Serves any number of WebSockets on the one thread of the server's event loop. `σ` is what the
program keeps for each of them.

Nothing in it may block: all connections would wait. What takes long belongs on a task, which may
send by itself. A throw closes its own connection with 1011, and nothing else. -/
structure WSEvents (σ : Type) where
  /-- Whether the client may connect: what it throws answers the request. -/
  onConnect : RequestCtx → ExceptT HttpError IO Unit := fun _ => return ()
  /-- A connection was opened. Gives what to keep for it. -/
  onOpen : WSConnection → RequestCtx → ExceptT HttpError IO σ
  /-- A message has come in. Gives what to keep from now on. -/
  onMessage : WSConnection → σ → WSMessage → ExceptT HttpError IO σ
  /-- A connection that was opened has ended, whichever side has ended it. Nothing comes after
  it. -/
  onClose : WSConnection → σ → WSClose → IO Unit := fun _ _ _ => return ()

/-- What the event loop does with the connections of one route. -/
structure WSSink where
  /-- A client asks to connect; the number is that of its request. -/
  connect : RequestCtx → UInt64 → ExceptT HttpError IO Unit
  /-- A message has come in. -/
  message : UInt64 → WSMessage → IO Unit
  /-- There is room in the send queue. -/
  writable : UInt64 → IO Unit
  /-- The connection has ended. -/
  close : UInt64 → WSClose → IO Unit
  /-- The server has ended. -/
  stop : IO Unit

namespace WSEvents

/-- A connection that was opened. -/
private structure Entry (σ : Type) where
  connection : WSConnection
  /-- What the program keeps for it. -/
  state : IO.Ref σ
  /-- Whether a callback has thrown: what comes after that is nobody's. -/
  failed : IO.Ref Bool

/-- Runs a callback of the program in that connection's turn. When it throws, its connection is
closed with 1011. -/
private def turn (ws : WSConnection) (callback : ExceptT HttpError IO α) : IO (Option α) := do
  let some loop := ws.loop? | return none
  loop.turn.set ws.id
  try
    match ← callback.run with
    | .ok value => return some value
    | .error error =>
      fail
      if error.isClosed then return none else throw (.userError (toString error))
  catch error =>
    fail
    throw error
  finally loop.turn.set 0
where
  /-- What waits to be sent is dropped. The end of a paused connection would not be told. -/
  fail : IO Unit := do
    if let some loop := ws.loop? then loop.deferred.set #[]
    FFI.wsClose ws.id 1011 ""
    FFI.wsResume ws.id

/-- Does what was deferred, as far as there is room, and receives again when all is done. -/
private def flush (ws : WSConnection) (loop : WSLoop) : IO Unit := do
  let deferred ← loop.deferred.swap #[]
  for h : i in [0:deferred.size] do
    try
      match deferred[i] with
      | .send message => message.sendNative ws.id 0
      | .close code reason => FFI.wsClose ws.id code.toUInt32 reason
    catch error =>
      if isLibraryError error 3 then
        return ← loop.deferred.set (deferred.extract i)
      unless isLibraryError error 1 do
        FFI.wsClose ws.id 1011 ""
        FFI.wsResume ws.id
        throw error
  FFI.wsResume ws.id

/-- What the event loop does with the connections, whose events bear the number of their route. The
callbacks run on the thread that calls this. -/
def start (events : WSEvents σ) (options : WSOptions) (route : UInt64) : IO WSSink := do
  let entries : IO.Ref (Std.HashMap UInt64 (Entry σ)) ← IO.mkRef {}
  let thread ← IO.getTID
  let currentTurn ← IO.mkRef 0
  let acceptOptions ← FFI.newOptions .ws <|
    (← options.fields).push ("events", "1") |>.push ("user_data", toString route)
  return {
    connect := fun ctx request => do
      events.onConnect ctx
      let id ← HttpError.lift (FFI.wsAccept request acceptOptions)
      let loop := { thread, turn := currentTurn, deferred := ← IO.mkRef #[] }
      let connection : WSConnection := { id, loop? := some loop }
      ctx.cancel.connection.set <| some fun ms => do
        try return (← FFI.wsCloseInfo id ms).isSome catch _ => return true
      if let some state ← turn connection (events.onOpen connection ctx) then
        let entry := { connection, state := ← IO.mkRef state, failed := ← IO.mkRef false }
        entries.modify (·.insert id entry)
    message := fun id message => do
      let some entry := (← entries.get)[id]? | return
      if ← entry.failed.get then return
      entry.failed.set true
      let state? ← turn entry.connection do
        events.onMessage entry.connection (← entry.state.get) message
      if let some state := state? then
        entry.state.set state
        entry.failed.set false
    writable := fun id => do
      let some entry := (← entries.get)[id]? | FFI.wsResume id
      if let some loop := entry.connection.loop? then flush entry.connection loop
    close := fun id how => do
      let some entry := (← entries.get)[id]? | FFI.wsFree id
      entries.modify (·.erase id)
      try events.onClose entry.connection (← entry.state.get) how
      finally FFI.wsFree id
    stop := FFI.optionsFree acceptOptions
  }

end WSEvents

end LitheRt
