import Game
import LitheRt

/-!
# A game for any number of players

    lake exe combined [PORT]

The world goes to every page by server-sent events: it is published on a hub, and the library
delivers it, at the pace of each page. What players do comes by WebSockets, all on the one thread of
the event loop. Another thread lets the time go by.
-/

open LitheRt Game

def page : String := include_str "page.html"

/-- The channel on which the world is published. -/
def channel : String := "world"

/-- A world that is played in. -/
structure Play where
  world : IO.Ref World
  hub : Hub
  /-- What was published last. -/
  published : IO.Ref String

namespace Play

/-- A new world. Of its publications only the newest is of any use, so a page that is slow gets
nothing else, and one that comes gets that first. -/
def new : IO Play := do
  let seed ← IO.rand 0 1000000000
  let hub ← Hub.create { namespaces := #[
    { historySize := 1, historyAgeMs := .off, overflow := .latest }] }
  return {
    world := ← IO.mkRef (.generate seed.toUInt64)
    hub
    published := ← IO.mkRef ""
  }

/-- Follows a rule. -/
def follow (play : Play) (rule : Rule α) : IO α :=
  play.world.modifyGet rule.run

def join (play : Play) (name : String) : IO (Option Nat) :=
  play.follow (Rules.join name)

def act (play : Play) (id : Nat) (action : Action) : IO (Option String) :=
  play.follow (Rules.act id action)

def leave (play : Play) (id : Nat) : IO Unit :=
  play.follow (Rules.leave id)

/-- Publishes the world if it has changed. -/
def publish (play : Play) : IO Unit := do
  let view := View.world (← play.world.get)
  if view != (← play.published.get) then
    discard <| play.hub.publish channel view { key := "world" }
    play.published.set view

/-- Has the time go by, a tenth of a second at a time, while somebody plays. What players do is seen
sooner than that. -/
partial def live (play : Play) (ended : IO.Ref Bool) : IO Unit := do
  if ← ended.get then return
  unless (← play.world.get).players.isEmpty do play.follow Rules.tick
  play.publish
  IO.sleep 50
  play.publish
  IO.sleep 50
  play.live ended

/-- The players. A connection's state is the id of its player. -/
def players (play : Play) : WSEvents Nat where
  onOpen ws ctx := do
    let name := ((ctx.req.query? "name").getD "Nobody").take 16
    let some id ← play.join name.toString | throw (.unavailable "the world is full")
    ws.sendText (View.you id)
    return id
  onMessage ws id message := do
    let some action := message.text?.bind Action.parse | throw (.badRequest "no such action")
    if let some hint ← play.act id action then ws.sendText (View.hint hint)
    return id
  onClose _ id _ := play.leave id

/-- The world, as an event stream that begins with what it is like now. -/
def watch (play : Play) : Handler := fun _ =>
  return .subscribe play.hub [channel] { cursor := "0-0", afterGap := .oldest } (retryMs := 1000)

end Play

def main (arguments : List String) : IO Unit := do
  let play ← Play.new
  let router := Router.new
    |>.get "/" (fun _ => return .html page)
    |>.get "/world" play.watch
    |>.wsEvents "/play" play.players { maxMessagesPerSecond := 50 }
  let port := (arguments.head?.bind (·.toNat?)).getD 8080
  let server ← Server.start { port := port.toUInt16 } router
  let ended ← IO.mkRef false
  let time ← IO.asTask (prio := .dedicated) (play.live ended)
  IO.println s!"A game: http://{server.address}"
  (← IO.getStdout).flush
  server.waitForInterrupt
  server.shutdown
  ended.set true
  IO.ofExcept (← IO.wait time)
  play.hub.close
