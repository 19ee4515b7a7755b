import LitheRt.Http.SSE.Format
import LitheRt.Runtime.Options

/-!
# Bodies that come piece by piece
-/

namespace LitheRt

/-- Where the events of an event stream come from, and how it is kept alive. -/
structure SSESource where
  /-- Waits for the next event; none ends the stream. -/
  next : IO (Option SSEEvent)
  /-- After how many milliseconds without an event a comment is sent, so that proxies keep the
  connection open, and a client that has vanished is noticed. Default: 15,000. -/
  keepAliveMs : Setting := .default
  /-- How many milliseconds the client shall wait before it reconnects. Default: the client's
  own. -/
  retryMs : Setting := .default

/-- The body of a response that comes piece by piece. The server asks for each piece once there is
room for it, on a task of the response's own, so `next` may block. -/
structure BodyStream where
  /-- Waits for the next piece; none is the end. What it throws breaks the response off. -/
  next : IO (Option ByteArray)
  /-- Is run once when the response has ended, however that came. -/
  close : IO Unit := pure ()
  /-- Set where the pieces are events: the library then sends them, and keeps the stream alive. -/
  events? : Option SSESource := none

namespace BodyStream

/-- The empty body. -/
def empty : BodyStream :=
  { next := return none }

/-- The given pieces. -/
def ofChunks (chunks : Array ByteArray) : IO BodyStream := do
  let at_ ← IO.mkRef 0
  return { next := do return chunks[← at_.modifyGet fun i => (i, i + 1)]? }

/-- A file, in pieces of at most `chunkBytes` bytes. Errors: when it cannot be opened. -/
def ofFile (path : System.FilePath) (chunkBytes : USize := 65536) : IO BodyStream := do
  let file ← IO.FS.Handle.mk path .read
  return { next := do
    let chunk ← file.read chunkBytes
    return if chunk.isEmpty then none else some chunk }

/-- An event stream of what `next` gives, until it gives none, the client has gone, or the server
shuts down. While `next` blocks the library keeps the stream alive; but only when it returns it is
noticed that the stream has ended, so it shall not wait for ever: `CancelToken.sleep` wakes by
itself. -/
def fromSSEEvents (next : IO (Option SSEEvent)) (keepAliveMs : Setting := .default)
    (retryMs : Setting := .default) (close : IO Unit := pure ()) : BodyStream where
  next := do return (← next).map fun event => event.format.toUTF8
  close
  events? := some { next, keepAliveMs, retryMs }

/-- An event stream of the given events. -/
def ofSSEEvents (events : Array SSEEvent) : IO BodyStream := do
  let at_ ← IO.mkRef 0
  return fromSSEEvents do return events[← at_.modifyGet fun i => (i, i + 1)]?

end BodyStream

end LitheRt
