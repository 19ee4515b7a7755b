import LitheRt.Http.Response
import LitheRt.Http.WebSocket.Connection

namespace LitheRt

/-- Serves a WebSocket, on a thread of its own (a dedicated task), so it may block. When it returns
the connection is closed with 1000, or with 1001 when the server shuts down, and when it throws with
1011; nothing else is touched by that. -/
abbrev WSHandler := WSConnection → RequestCtx → ExceptT HttpError IO Unit

namespace WSHandler

/-- Accepts the request's WebSocket and runs the handler on it. -/
private def serve (handler : WSHandler) (options : WSOptions) (ctx : RequestCtx)
    (request : UInt64) : IO Unit := do
  let ws ← FFI.withOptions .ws (← options.fields) (FFI.wsAccept request)
  try
    ctx.cancel.connection.set <| some fun ms => do
      try return (← FFI.wsCloseInfo ws ms).isSome catch _ => return true
    match ← (handler { id := ws } ctx).run with
    | .ok () => if ← ctx.cancel.shutdown.get then FFI.wsClose ws 1001 ""
    | .error error =>
      FFI.wsClose ws 1011 ""
      unless error.isClosed do throw (.userError (toString error))
  catch error =>
    FFI.wsClose ws 1011 ""
    throw error
  finally FFI.wsFree ws

/-- Serves WebSockets by a handler of requests. Other requests are answered with 426. -/
def toHandler (handler : WSHandler) (options : WSOptions := {}) : Handler := fun ctx => do
  unless ctx.req.isWebSocket do throw .upgradeRequired
  return { takeover := some (handler.serve options ctx) }

end WSHandler

end LitheRt
