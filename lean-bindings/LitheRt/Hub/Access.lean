import LitheRt.Http.Error
import LitheRt.Runtime.Options

/-!
# Who may do what on a hub, by the word of the program
-/

namespace LitheRt

/-- What a client wants to do. -/
inductive HubAction where
  /-- Connect, or go on with a new token. -/
  | connect
  /-- Get what is published on a channel. -/
  | subscribe
  /-- Read publications of a channel from before it came. -/
  | history
  /-- Publish on a channel. -/
  | publish
  /-- See who is on a channel. -/
  | presence
  deriving BEq, DecidableEq, Inhabited, Repr

/-- What the program is asked. -/
structure Authorization where
  /-- What the client wants to do. -/
  action : HubAction
  /-- On which channel, or on all channels of which pattern; empty for `connect`. -/
  channel : String
  /-- Of a client that is connected: the name that it was let in by, or empty. -/
  subject : String
  /-- Of a client that is connected: the number that it was let in with. -/
  tag : UInt64
  /-- Of `connect`: whether the client is connected already and presents a new token, which has to
  be for the same `subject`. -/
  renews : Bool
  /-- Of `connect`: the token that it presents; empty when there is none. -/
  token : String
  /-- Of `connect`: the query of its request. -/
  query : String
  /-- Of `connect`: the address that the connection comes from, without the port. -/
  peer : String
  /-- Of `connect`: the value of a header of its request. To be asked before the answer. -/
  header? : String → IO (Option String)

/-- Why a client may not connect. -/
inductive Refusal where
  /-- It is known, and may not: 403. -/
  | denied
  /-- It presents no token, and has to: 401. -/
  | missing
  /-- Its token is not valid: 401. -/
  | invalid
  /-- Its token was valid once: 401. -/
  | expired
  /-- It cannot be found out now; the client may try again. Counts for every action. -/
  | unavailable
  deriving BEq, DecidableEq, Inhabited, Repr

/-- The program's answer. -/
inductive Grant where
  /-- The client may. What else is said counts for `connect`: who it is, by which others see it
  where presence is on; what they may know of it; in how many milliseconds it has to present a new
  token; and the program's own number for it, which later questions bear. -/
  | allow (subject : String := "") (info : String := "") (expiresInMs : Option Nat := none)
    (tag : UInt64 := 0)
  /-- The client may not. -/
  | refuse (why : Refusal := .denied)
  deriving Repr

/-- What an authorizer gives that panics: it refuses. -/
instance : Inhabited Grant := ⟨.refuse⟩

/-- Answers the questions of who may do what. It has a thread of its own, so it may block; as long as it
does it counts as a handler (`ServerConfig.maxHandlers`), also when the client was refused meanwhile
because it took too long. What it throws refuses the client, which may try again. -/
abbrev Authorizer := Authorization → IO Grant

namespace Authorization

/-- What the library asks. -/
def read (handle : UInt64) : IO Authorization := do
  let texts ← FFI.authorizationTexts handle
  let numbers ← FFI.authorizationNumbers handle
  let action := match numbers[0]! with
    | 1 => .connect
    | 2 => .subscribe
    | 3 => .history
    | 4 => .publish
    | _ => .presence
  return {
    action
    renews := numbers[1]! != 0
    tag := numbers[2]!
    subject := texts[0]!
    channel := texts[1]!
    token := texts[2]!
    query := texts[3]!
    peer := texts[4]!
    header? := FFI.authorizationHeader handle
  }

/-- Gives the library the answer. That the client has gone is nobody's error. -/
def answer (handle : UInt64) (grant : Grant) : IO Unit := do
  let fields : FFI.Fields := match grant with
    | .allow subject info expiresInMs tag =>
      let fields : FFI.Fields := #[("allow", "1"), ("tag", toString tag)]
      let fields := if subject.isEmpty then fields else fields.push ("subject", subject)
      let fields := if info.isEmpty then fields else fields.push ("info", info)
      fields.text? "expires_in_ms" (expiresInMs.map fun ms => toString (max ms 1))
    | .refuse why => #[("refusal", toString (why.ctorIdx + 1))]
  try FFI.withOptions .grant fields (FFI.authorizationAnswer handle)
  catch error => unless isLibraryError error 1 do throw error

end Authorization

end LitheRt
