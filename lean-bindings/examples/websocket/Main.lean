import LitheRt
import LitheRt.Http.JsonText

/-!
# WebSockets: an echo and a chat

    lake exe websocket [PORT]

All connections share the one thread of the event loop. What is said in the chat is published on a
hub: the library delivers it to everybody, and to those who come back what they have missed. Who is
there is told to all who are in a registry.
-/

open LitheRt

def page : String := include_str "page.html"

/-- Says again what it is told. -/
def echo : WSEvents Unit where
  onOpen _ _ := return ()
  onMessage ws _ message := ws.send message

/-- The channel on which the chat is published. -/
def channel : String := "chat"

structure Chat where
  hub : Hub
  everybody : WSRegistry
  /-- The names of those who are here, by the numbers of their connections. -/
  names : IO.Ref (List (UInt64 × String))

namespace Chat

def new : IO Chat :=
  return { hub := ← Hub.create, everybody := ← WSRegistry.new, names := ← IO.mkRef [] }

/-- Tells everybody who is here. -/
def tellNames (chat : Chat) : IO Unit := do
  let names := (← chat.names.get).map fun (_, name) => JsonText.quote name
  let text := s!"\{\"type\":\"people\",\"names\":[{",".intercalate names}]}"
  discard <| chat.everybody.broadcast text

/-- Publishes a line. -/
def say (chat : Chat) (name text : String) : IO Unit :=
  discard <| chat.hub.publish channel
    s!"\{\"from\":{JsonText.quote name},\"text\":{JsonText.quote text}}"

/-- What a page has not seen follows. One that has seen nothing gets all that there is: no history has
the place that it is said to be at. -/
def subscribe (chat : Chat) (ws : WSConnection) (cursor : Option String) :
    ExceptT HttpError IO Unit :=
  ws.subscribe chat.hub [channel]
    { cursor := (cursor.filter (· ≠ "")).getD "0-0", format := .json, afterGap := .oldest }

/-- Those who talk. A connection's state is a name. -/
def talkers (chat : Chat) : WSEvents String where
  onOpen ws ctx := do
    let name := (((ctx.req.query? "name").filter (· ≠ "")).getD "Guest").take 20 |>.toString
    chat.subscribe ws (ctx.req.query? "cursor")
    chat.everybody.add ws
    chat.names.modify (· ++ [(ws.id, name)])
    chat.tellNames
    return name
  onMessage ws name message := do
    match message.text? with
    | some text => if text.length ≤ 1000 then chat.say name text else ws.close 1008 "too long"
    | none => ws.close 1003 "only text"
    return name
  onClose ws _ _ := do
    chat.everybody.remove ws
    chat.names.modify (·.filter (·.1 != ws.id))
    chat.tellNames

end Chat

def main (arguments : List String) : IO Unit := do
  let chat ← Chat.new
  let router := Router.new
    |>.get "/" (fun _ => return .html page)
    |>.wsEvents "/chat" chat.talkers { maxMessageBytes := 8192, maxMessagesPerSecond := 20 }
    |>.wsEvents "/echo" echo
  let port := (arguments.head?.bind (·.toNat?)).getD 8080
  let server ← Server.start { port := port.toUInt16 } router
  IO.println s!"A chat: http://{server.address} (and an echo: ws://{server.address}/echo)"
  (← IO.getStdout).flush
  server.waitForInterrupt
  server.shutdown
  chat.hub.close
