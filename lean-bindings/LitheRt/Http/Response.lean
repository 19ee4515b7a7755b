import LitheRt.Http.Request
import LitheRt.Http.Status

namespace LitheRt

/-- How a request is answered. -/
structure Response where
  /-- The status. -/
  status : Status := .ok
  /-- The headers. `Content-Length` and `Date` are added by the library. -/
  headers : Headers := #[]
  /-- The body, when it is there as a whole. -/
  body : ByteArray := .empty
  /-- The body, when it comes piece by piece. -/
  bodyStream : Option BodyStream := none
  /-- Answers the request in another way, such as by a WebSocket: gets the handle of the request,
  and is run on the same task. What else the response says does not count then. -/
  takeover : Option (UInt64 → IO Unit) := none
  deriving Inhabited

/-- Answers a request. It has a thread of its own (a dedicated task), so it may block. What it
throws answers the request too. -/
abbrev Handler := RequestCtx → ExceptT HttpError IO Response

namespace Response

/-- Bytes of some type. -/
def bytes (body : ByteArray) (contentType : String := "application/octet-stream")
    (status : Status := .ok) : Response :=
  { status, headers := #[("content-type", contentType)], body }

/-- Text. -/
def text (body : String) (status : Status := .ok) : Response :=
  bytes body.toUTF8 "text/plain; charset=utf-8" status

/-- A page. -/
def html (body : String) (status : Status := .ok) : Response :=
  bytes body.toUTF8 "text/html; charset=utf-8" status

/-- JSON, as text. `LitheRt.Json` has responses of Lean's `Json`. -/
def jsonText (body : String) (status : Status := .ok) : Response :=
  bytes body.toUTF8 "application/json" status

/-- No body. -/
def empty (status : Status := .noContent) : Response :=
  { status }

/-- Sends the client elsewhere. -/
def redirect (location : String) (status : Status := .seeOther) : Response :=
  { status, headers := #[("location", location)] }

/-- A body that comes piece by piece. -/
def stream (body : BodyStream) (contentType : String := "application/octet-stream")
    (status : Status := .ok) : Response :=
  { status, headers := #[("content-type", contentType)], bodyStream := some body }

/-- An event stream, as an `EventSource` in a browser reads it. -/
def sse (body : BodyStream) : Response :=
  { headers := #[("content-type", "text/event-stream"), ("cache-control", "no-cache")],
    bodyStream := some body }

/-- What a client is told when its handler throws. -/
def ofError (error : HttpError) : Response :=
  let status := if 400 ≤ error.status && error.status ≤ 599 then error.status else 500
  jsonText { error with status }.toJsonText ⟨status⟩

/-- The response with another status. -/
def withStatus (response : Response) (status : Status) : Response :=
  { response with status }

/-- The response with one more header. -/
def withHeader (response : Response) (name value : String) : Response :=
  { response with headers := response.headers.push (name, value) }

/-- The response with one header of that name. -/
def setHeader (response : Response) (name value : String) : Response :=
  { response with headers := (response.headers.without name).push (name, value) }

/-- The value of the first header of that name. -/
def header? (response : Response) (name : String) : Option String :=
  response.headers.value? name

end Response

end LitheRt
