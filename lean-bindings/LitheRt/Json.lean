import Lean.Data.Json.FromToJson
import Lean.Data.Json.Parser
import LitheRt.Http.Response
import LitheRt.Http.WebSocket.Connection

/-!
# Requests, responses and messages in Lean's JSON

Not part of `import LitheRt`: a program that imports anything of `Lean.Json` has all of Lean linked
into it, which makes it ten times as large.
-/

namespace LitheRt

/-- The body as JSON. Errors: 400 when it is none. -/
def Request.bodyJson (request : Request) : Except HttpError Lean.Json := do
  match Lean.Json.parse (← request.bodyText) with
  | .ok json => return json
  | .error words => throw (.badRequest s!"the body is no JSON: {words}")

/-- The body as JSON, read as a value. Errors: 400 when it is none. -/
def Request.bodyAs (α : Type) [Lean.FromJson α] (request : Request) : Except HttpError α := do
  match Lean.fromJson? (← request.bodyJson) with
  | .ok value => return value
  | .error words => throw (.badRequest words)

/-- JSON. -/
def Response.json (body : Lean.Json) (status : Status := .ok) : Response :=
  .jsonText body.compress status

/-- A value as JSON. -/
def Response.jsonOf [Lean.ToJson α] (value : α) (status : Status := .ok) : Response :=
  .json (Lean.toJson value) status

/-- The message as JSON. Errors: 400 when it is none. -/
def WSMessage.json (message : WSMessage) : Except HttpError Lean.Json := do
  let some string := message.text? | throw (.badRequest "the message is no text")
  match Lean.Json.parse string with
  | .ok json => return json
  | .error words => throw (.badRequest s!"the message is no JSON: {words}")

/-- Sends JSON, as text. Otherwise it is `WSConnection.send`. -/
def WSConnection.sendJson (ws : WSConnection) (json : Lean.Json) : ExceptT HttpError IO Unit :=
  ws.sendText json.compress

end LitheRt
