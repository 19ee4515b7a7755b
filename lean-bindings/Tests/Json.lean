import LitheRt.Json

/-!
Lean's JSON in requests, responses and messages. They are checked when this file is compiled, and are
not among those that run: the program would have all of Lean in it.
-/

open LitheRt Lean

namespace JsonTests

def request (body : String) : Request := { method := .POST, path := "/", body := body.toUTF8 }

#guard (request "[1, 2]").bodyJson.toOption == some (.arr #[1, 2])
#guard ((request "{").bodyJson.toOption).isNone
#guard (request "[1, 2]").bodyAs (Array Nat) |>.toOption |> (· == some #[1, 2])
#guard ((request "[\"a\"]").bodyAs (Array Nat) |>.toOption).isNone
#guard String.fromUTF8! (Response.json (.mkObj [("a", 1)])).body = "{\"a\":1}"
#guard (Response.jsonOf #[1, 2] 201).status = 201
#guard (Response.json .null).header? "Content-Type" = some "application/json"
#guard (WSMessage.text "true").json.toOption == some (.bool true)
#guard (WSMessage.binary "true".toUTF8).json.toOption == none

/-! What the package writes by itself is JSON. -/

#guard (Json.parse (HttpError.badRequest "\"\\\n\r\t\x00\x1fé😀").toJsonText).toOption ==
  some (.mkObj [("status", 400), ("code", "bad_request"), ("message", "\"\\\n\r\t\x00\x1fé😀")])

end JsonTests
