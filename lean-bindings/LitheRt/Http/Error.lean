import LitheRt.Http.JsonText

/-!
# Errors that a handler throws

What a handler throws as an `HttpError` its client is told. What it throws as an `IO.Error` nobody
is told but the program (`ServerConfig.onError`): the client gets a 500 without any words.
-/

namespace LitheRt

/-- Why a request is not answered as it asks for. -/
structure HttpError where
  /-- The status of the answer, from 400 to 599. -/
  status : UInt16
  /-- A word for programs, such as `not_found`. -/
  code : String
  /-- A sentence for people. -/
  message : String
  /-- Whether clients are told the message. Those of the library are for the program only. -/
  expose : Bool := true
  deriving BEq, Inhabited, Repr

namespace HttpError

/-- 400: the request makes no sense. -/
def badRequest (message : String := "bad request") : HttpError :=
  { status := 400, code := "bad_request", message }

/-- 401: the client has to say who it is. -/
def unauthorized (message : String := "unauthorized") : HttpError :=
  { status := 401, code := "unauthorized", message }

/-- 403: the client may not. -/
def forbidden (message : String := "forbidden") : HttpError :=
  { status := 403, code := "forbidden", message }

/-- 404: there is nothing by that name. -/
def notFound (message : String := "not found") : HttpError :=
  { status := 404, code := "not_found", message }

/-- 405: there is something by that name, but not for that method. -/
def methodNotAllowed (message : String := "method not allowed") : HttpError :=
  { status := 405, code := "method_not_allowed", message }

/-- 426: there is a WebSocket by that name. -/
def upgradeRequired (message : String := "this is a WebSocket") : HttpError :=
  { status := 426, code := "upgrade_required", message }

/-- 500: the program has failed. -/
def internal (message : String := "internal server error") : HttpError :=
  { status := 500, code := "internal_error", message }

/-- 503: not now; the client may try again. -/
def unavailable (message : String := "service unavailable") : HttpError :=
  { status := 503, code := "unavailable", message }

/-- What the client is told, in JSON: an object with the status, the code and the message. -/
def toJsonText (error : HttpError) : String :=
  let message := if error.expose then error.message
    else error.code.map fun c => if c == '_' then ' ' else c
  s!"\{\"status\":{error.status},\"code\":{JsonText.quote error.code},\
    \"message\":{JsonText.quote message}}"

instance : ToString HttpError where
  toString error := s!"{error.status} {error.code}: {error.message}"

/-- The status and the word for an error of the library, by its number. -/
private def ofCode : UInt32 → UInt16 × String
  | 1 => (499, "closed")
  | 2 => (504, "timeout")
  | 3 => (503, "full")
  | 4 => (499, "closed")
  | 5 => (500, "bad_argument")
  | 6 => (500, "not_utf8")
  | 7 => (500, "too_large")
  | 8 => (500, "wrong_state")
  | 9 => (404, "not_found")
  | 10 => (500, "io")
  | 11 => (503, "shutting_down")
  | 12 => (403, "refused")
  | _ => (500, "internal_error")

/-- An error of the library: its word is `closed`, `timeout`, `full`, `bad_argument`, `not_utf8`,
`too_large`, `wrong_state`, `not_found`, `io`, `shutting_down`, `refused` or `internal_error`, its
message what the library says. A handle that was freed counts as `closed`. -/
def ofIO (error : IO.Error) : HttpError :=
  match error with
  | .otherError number message =>
    let (status, code) := ofCode number
    { status, code, message, expose := false }
  | error => { internal (toString error) with expose := false }

/-- Runs a call of the library. What it throws is thrown as an `HttpError` (`HttpError.ofIO`). -/
def lift (action : IO α) : ExceptT HttpError IO α :=
  ExceptT.mk do
    try return .ok (← action)
    catch error => return .error (ofIO error)

/-- Whether the connection was closed, which is how most of them end. -/
def isClosed (error : HttpError) : Bool :=
  error.code == "closed"

end HttpError

/-- Whether it is that error of the library. -/
def isLibraryError (error : IO.Error) (number : UInt32) : Bool :=
  match error with
  | .otherError n _ => n == number
  | _ => false

/-- The same error with the library's words only, for those who print it. -/
def plainError (error : IO.Error) : IO.Error :=
  match error with
  | .otherError _ message => .userError message
  | error => error

/-- Runs a call of the library, and throws what it throws with its words only. -/
def plainly (action : IO α) : IO α := do
  try action catch error => throw (plainError error)

end LitheRt
