import LitheRt

/-!
# What the tests ask of a program in Lean

Handlers that throw, and handlers that hang, beside others that go on.
-/

open LitheRt

/-- As a file system does it. -/
def fail : IO Response :=
  throw (.userError "the disk is full")

/-- What a client asks for by a word. -/
def obey (text : String) : ExceptT HttpError IO Unit := do
  match text with
  | "throw an HttpError" => throw (.badRequest "no such thing")
  | "throw an IO.Error" => discard fail
  | _ => return ()

/-- Echoes on the event loop, and counts. -/
def loop : WSEvents Nat where
  onConnect ctx := do
    if (ctx.req.query? "key").isNone then throw (.forbidden "no key")
  onOpen ws ctx := do
    obey ((ctx.req.query? "key").getD "")
    ws.sendText "welcome"
    return 0
  onMessage ws count message := do
    if let some text := message.text? then
      if text == "how many" then ws.sendText (toString count)
      if text == "close" then ws.close 4321 "as you say"
      obey text
    ws.send message
    return count + 1
  onClose _ count close := do
    IO.println s!"closed with {close.code} after {count}"
    (← IO.getStdout).flush

/-- Echoes on a thread. -/
partial def thread : WSHandler := fun ws ctx => do
  let some message ← ws.receive | return
  if let some text := message.text? then obey text
  ws.send message
  thread ws ctx

/-- Waits for what never comes. -/
def hang : Handler := fun ctx => do
  let stream := BodyStream.fromSSEEvents (keepAliveMs := 1000) do
    discard <| ctx.cancel.sleep 1000000000
    return none
  return .sse { stream with close := do
    IO.println "nobody hangs any more"
    (← IO.getStdout).flush }

def main : IO Unit := do
  let config : ServerConfig := { onError := fun error => do
    IO.println s!"error: {error}"
    (← IO.getStdout).flush }
  let server ← Server.start config <| Router.new
    |>.get "/http-error" (fun _ => throw (.notFound "gone fishing"))
    |>.get "/io-error" (fun _ => fail)
    |>.post "/greet/:name" (fun ctx => do
      return .text s!"{← ctx.param "name"}: {← ofExcept ctx.req.bodyText}")
    |>.get "/hang" hang
    |>.ws "/thread" thread
    |>.wsEvents "/loop" loop
  IO.println s!"http://{server.address}"
  (← IO.getStdout).flush
  server.waitForInterrupt
  server.shutdown
  IO.println "ended"
