import LitheRt.Http.BodyStream
import LitheRt.Http.Error
import LitheRt.Http.Header
import LitheRt.Http.Method
import LitheRt.Http.Url
import LitheRt.Runtime.CancelToken

namespace LitheRt

/-- A request. -/
structure Request where
  /-- What it asks to be done. -/
  method : Method
  /-- The path of its URL, such as `/chat/room%201`: as it came. -/
  path : String
  /-- What comes after the `?` of its URL, as it came; empty when there is none. -/
  query : String := ""
  /-- Its headers, whose names are in lower case. Bytes that are not UTF-8 are replaced by
  U+FFFD. -/
  headers : Headers := #[]
  /-- Its body; empty when there is none, or it is streamed. -/
  body : ByteArray := .empty
  /-- Its body, when the server shall not wait for it (`ServerConfig.streamBodies`). -/
  bodyStream : Option BodyStream := none
  /-- The address that it came from, with the port, such as `127.0.0.1:50312`: that of the proxy, if
  there is one. -/
  peer : String := ""
  /-- The id of the last event that the client of an event stream has seen. What came after it is
  what the client has missed. -/
  lastEventId : Option String := none
  /-- Whether it asks for a WebSocket. -/
  isWebSocket : Bool := false
  /-- The subprotocols that it offers for that, with commas between them. -/
  protocols : String := ""
  deriving Inhabited

namespace Request

/-- The value of the first header of that name, in any case. -/
def header? (request : Request) (name : String) : Option String :=
  request.headers.value? name

/-- The value of the first parameter of that name in the query, decoded. -/
def query? (request : Request) (name : String) : Option String :=
  Url.parameters request.query |>.find? (·.1 == name) |>.map (·.2)

/-- The value of the first cookie of that name. -/
def cookie? (request : Request) (name : String) : Option String := Id.run do
  for header in request.headers.values "cookie" do
    for cookie in header.splitOn ";" do
      match cookie.splitOn "=" with
      | first :: rest => if first.trimAscii.toString == name then
          return some ("=".intercalate rest).trimAscii.toString
      | [] => pure ()
  return none

/-- The body as text. Errors: 400 when it is not UTF-8. -/
def bodyText (request : Request) : Except HttpError String :=
  match String.fromUTF8? request.body with
  | some text => .ok text
  | none => .error (.badRequest "the body is not UTF-8")

end Request

/-- What a handler gets. -/
structure RequestCtx where
  /-- The request. -/
  req : Request
  /-- What the route's pattern has captured, by its names, decoded. -/
  params : List (String × String) := []
  /-- Tells when to come to an end. -/
  cancel : CancelToken

namespace RequestCtx

/-- What the route's pattern has captured by that name. -/
def param? (ctx : RequestCtx) (name : String) : Option String :=
  ctx.params.lookup name

/-- What the route's pattern has captured by that name. Errors: 500 when it has no such name. -/
def param (ctx : RequestCtx) (name : String) : ExceptT HttpError IO String :=
  match ctx.param? name with
  | some value => return value
  | none => throw { HttpError.internal s!"the route has no {name}" with expose := false }

end RequestCtx

end LitheRt
