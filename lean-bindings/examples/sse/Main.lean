import LitheRt
import Std.Time

/-!
# A clock, by server-sent events

    lake exe sse [PORT]

Each viewer has a thread, which sleeps between the ticks. While it does, the library keeps the
connection alive; when a viewer goes, or the server ends, it is woken. An event's id is the second
that it tells, so that a viewer who was away can be told for how long.
-/

open LitheRt

def page : String := include_str "page.html"

def unixSeconds : IO Nat := do
  return (← Std.Time.Timestamp.now).toSecondsSinceUnixEpoch.val.toNat

/-- The time of day, in UTC. -/
def timeOfDay (seconds : Nat) : String :=
  let two (n : Nat) := if n < 10 then s!"0{n}" else toString n
  s!"{two (seconds / 3600 % 24)}:{two (seconds / 60 % 60)}:{two (seconds % 60)}"

def tick (seconds : Nat) : SSEEvent :=
  { data := timeOfDay seconds, id? := toString seconds }

/-- What a viewer who saw that event last has missed. -/
def missed (lastEventId : Option String) (now : Nat) : Option SSEEvent := do
  let last ← (← lastEventId).toNat?
  guard (last + 1 < now)
  return { event? := "missed", data := toString (now - last - 1) }

/-- The time, every so many seconds. -/
def clock : Handler := fun ctx => do
  let every := ((ctx.req.query? "every").bind (·.toNat?)).getD 1
  unless 1 ≤ every && every ≤ 3600 do throw (.badRequest "every: from 1 to 3600 seconds")
  let first ← IO.mkRef (missed ctx.req.lastEventId (← unixSeconds))
  let next ← IO.mkRef (← unixSeconds)
  return .sse <| .fromSSEEvents (keepAliveMs := 5000) (retryMs := 1000) do
    if let some event ← first.swap none then return some event
    let now ← unixSeconds
    let due ← next.get
    if now < due && (← ctx.cancel.sleep ((due - now) * 1000)) then return none
    let now ← unixSeconds
    next.set (now + every)
    return some (tick now)

def main (arguments : List String) : IO Unit := do
  let router := Router.new
    |>.get "/" (fun _ => return .html page)
    |>.get "/clock" clock
  let port := (arguments.head?.bind (·.toNat?)).getD 8080
  let server ← Server.start { port := port.toUInt16 } router
  IO.println s!"A clock: http://{server.address}"
  (← IO.getStdout).flush
  server.waitForInterrupt
  server.shutdown
