import LitheRt
import Tests.Check
import Tests.Client

/-!
Servers, by clients that connect to them.
-/

open LitheRt

namespace ServerTests

/-- Runs a test on a server, and keeps what `onError` was told. -/
def withServer (router : Router) (test : Server → IO.Ref (Array String) → IO Unit)
    (config : ServerConfig := {}) : IO Unit := do
  let errors ← IO.mkRef #[]
  let onError (error : IO.Error) := errors.modify (·.push (toString (plainError error)))
  let server ← Server.start { config with onError } router
  try test server errors finally server.shutdown 2000

def answers : IO Unit := do
  let router := Router.new
    |>.get "/hello/:name" (fun ctx => do
      return .text s!"hello {← ctx.param "name"} {ctx.req.query? "x"} {ctx.req.header? "X-A"}")
    |>.post "/echo" (fun ctx => return .bytes ctx.req.body)
    |>.get "/pieces" (fun _ => do
      return .stream (← BodyStream.ofChunks #["one ".toUTF8, "two".toUTF8]))
    |>.get "/known" (fun _ => throw { status := 418, code := "teapot", message := "no coffee" })
    |>.get "/broken" (fun _ => throwThe IO.Error (.userError "the password is 1234"))
    |>.get "/header" (fun _ => return (Response.text "").withHeader "a b" "c")
    |>.ws "/ws" (fun _ _ => return ())
  withServer router fun server errors => do
    let fetch (line : String) (headers : List String := []) (body : String := "") : IO String :=
      Client.fetch server.port line headers body
    expectIn "a route" (← fetch "GET /hello/a%2Fb?x=1+2" ["x-a: 3"])
      "hello a/b (some (1 2)) (some 3)"
    expectIn "a body" (← fetch "POST /echo" [] "bödy") "\r\n\r\nbödy"
    expectIn "a stream" (← fetch "GET /pieces") "\r\n\r\none two"
    expectNotIn "HEAD" (← fetch "HEAD /hello/you") "hello you"
    expectIn "no route" (← fetch "GET /nowhere") " 404 "
    expectIn "no method" (← fetch "PUT /echo") " 405 "
    expectIn "no method" (← fetch "PUT /echo") "allow: POST, OPTIONS\r\n"
    expectIn "OPTIONS" (← fetch "OPTIONS /echo") " 204 "
    expectIn "no WebSocket" (← fetch "GET /ws") " 426 "
    expectIn "an HttpError" (← fetch "GET /known") "\"message\":\"no coffee\""
    expect "errors that clients were told" (← errors.get) #[]
    let broken ← fetch "GET /broken"
    expectIn "an IO.Error" broken " 500 "
    expectNotIn "an IO.Error" broken "password"
    expectIn "a header" (← fetch "GET /header") " 500 "
    expect "what the program was told" (← errors.get)
      #["the password is 1234", "\"a b\" cannot be the name of a header"]

def refusals : IO Unit := do
  let go ← IO.Promise.new (α := Unit)
  let router := Router.new |>.get "/slow" fun _ => do
    discard <| IO.wait go.result!
    return .text "done"
  withServer router (config := { maxHandlers := 1 }) fun server _ => do
    let first ← Client.connect server.port
    first.request "GET /slow"
    eventually "the handler" do
      return (← server.shared.threads.atomically get).handlers == 1
    expectIn "one too many" (← Client.fetch server.port "GET /slow") " 503 "
    let stream ← Client.fetch server.port "GET /slow" ["Accept: text/event-stream"]
    expectIn "an EventSource too many" stream " 200 "
    expectIn "an EventSource too many" stream "retry: "
    go.resolve ()
    expectIn "the first" (← first.rest) "done"

def eventStreams : IO Unit := do
  let events := #[SSEEvent.mk "one" "1" "tick", SSEEvent.mk "two\nlines", .comment "three"]
  let retries : Array SSEEvent := #[0, 2 ^ 63 - 1, 2 ^ 64 + 5].map fun ms => { retryMs? := some ms }
  let ended ← IO.mkRef 0
  let endless (ctx : RequestCtx) : BodyStream :=
    .fromSSEEvents (keepAliveMs := 20) (close := ended.modify (· + 1)) do
      if ← ctx.cancel.sleep 60 then return none
      return some { data := ctx.req.lastEventId.getD "" }
  let router := Router.new
    |>.get "/some" (fun _ => return .sse (← BodyStream.ofSSEEvents events))
    |>.get "/retries" (fun _ => return .sse (← BodyStream.ofSSEEvents retries))
    |>.get "/headers" (fun _ => do
      return (Response.sse (← BodyStream.ofSSEEvents events)).withHeader "x-a" "b")
    |>.get "/endless" (fun ctx => return .sse (endless ctx))
    |>.get "/endless-headers" (fun ctx => return (Response.sse (endless ctx)).withHeader "x-a" "b")
  withServer router fun server errors => do
    let all := "".intercalate (events.toList.map (·.format))
    for path in ["/some", "/headers"] do
      let stream ← Client.fetch server.port s!"GET {path}"
      expectIn path stream ("\r\n\r\n" ++ all)
      expectIn path stream "content-type: text/event-stream\r\n"
    expectIn "/retries" (← Client.fetch server.port "GET /retries")
      "retry: 1\n\nretry: 9223372036854775807\n\nretry: 9223372036854775807\n\n"
    for path in ["/endless", "/endless-headers"] do
      let before ← ended.get
      let client ← Client.connect server.port
      client.request s!"GET {path}" ["Last-Event-ID: 41"]
      discard <| client.untilText ":\n"
      discard <| client.untilText "data: 41\n\n"
      discard <| client.untilText ":\n"
      client.shutdown
      eventually s!"the end of {path}" do return (← ended.get) == before + 1
    expect "errors" (← errors.get) #[]

partial def echo : WSHandler := fun ws ctx => do
  match ← ws.receive with
  | none | some (.text "return") => return
  | some (.text "throw") => throw (.badRequest "no")
  | some (.text "throw IO") => throwThe IO.Error (.userError "no")
  | some message => ws.send message; echo ws ctx

def webSockets : IO Unit := do
  let kept ← IO.mkRef none
  let router := Router.new
    |>.ws "/echo" (fun ws ctx => do kept.set (some ws); echo ws ctx)
    |>.get "/handler" (echo.toHandler { protocols := ["chat"] })
    |>.ws "/timeout" (fun ws _ => do
      try discard <| ws.receive (some 10) catch error => ws.sendText error.code)
    |>.ws "/gone" (fun ws ctx => do
      ws.sendText "ready"
      while !(← ctx.cancel.sleep 10000) do pure ()
      kept.set none)
  withServer router fun server errors => do
    for path in ["/echo", "/handler"] do
      let client ← Client.webSocket server.port path
      client.sendText "hällo"
      expect "text" (← client.receiveText) "hällo"
      client.sendFrame .binary ⟨#[0, 255]⟩
      let frame ← client.receive
      expect "bytes" (frame.header.opcode == .binary, frame.payload.toList) (true, [0, 255])
      client.sendText "return"
      expect "a return" (← client.closeCode) 1000
    for (message, words) in [("throw", "400 bad_request: no"), ("throw IO", "no")] do
      let client ← Client.webSocket server.port "/echo"
      let other ← Client.webSocket server.port "/echo"
      client.sendText message
      expect message (← client.closeCode) 1011
      eventually "the report" do return (← errors.get).contains words
      other.sendText "still here"
      expect message (← other.receiveText) "still here"
    let client ← Client.webSocket server.port "/timeout"
    expect "a time that is over" (← client.receiveText) "timeout"
    let client ← Client.webSocket server.port "/gone"
    expect "a client" (← client.receiveText) "ready"
    let some ws ← kept.get | throw (.userError "no connection")
    client.sendFrame .close .empty
    eventually "the cancel token" do return (← kept.get).isNone
    match ← (ws.sendText "late").run with
    | .ok () => throw (.userError "sent on a connection whose handler has returned")
    | .error error => expect "a late send" error.code "closed"

def eventLoop : IO Unit := do
  let registry ← WSRegistry.new
  let closes ← IO.mkRef #[]
  let events : WSEvents Nat := {
    onConnect := fun ctx => do
      if ctx.req.query? "key" == some "wrong" then throw (.forbidden "wrong key")
    onOpen := fun ws ctx => do
      registry.add ws
      if ctx.param? "room" == some "broken" then throw (.internal)
      ws.sendText s!"welcome to {← ctx.param "room"}"
      return 0
    onMessage := fun ws count message => do
      match message with
      | .text "throw" => throw (.badRequest "no")
      | .text "all" => discard <| registry.broadcast "for all"
      | .text "others" => discard <| registry.broadcast "for others" (except := some ws)
      | .text "bye" => ws.close 4001 "so long"
      | .text "count" => ws.sendText (toString count)
      | message => ws.send message
      return count + 1
    onClose := fun ws count how => do
      registry.remove ws
      closes.modify (·.push (count, how.code.toNat))
  }
  withServer (Router.new.wsEvents "/room/:room" events) fun server errors => do
    expectIn "onConnect" (← Client.fetch server.port "GET /room/a") " 426 "
    let refused ← (Client.webSocket server.port "/room/a?key=wrong").toBaseIO
    match refused with
    | .ok _ => throw (.userError "onConnect has thrown, but the client connects")
    | .error error => expectIn "onConnect" (toString error) "HTTP/1.1 403 "
    let a ← Client.webSocket server.port "/room/a"
    let b ← Client.webSocket server.port "/room/b"
    expect "onOpen" (← a.receiveText) "welcome to a"
    expect "onOpen" (← b.receiveText) "welcome to b"
    for i in [0:100] do a.sendText (toString i)
    for i in [0:100] do expect "order" (← a.receiveText) (toString i)
    a.sendText "count"
    expect "state" (← a.receiveText) "100"
    a.sendText "all"
    expect "broadcast" (← a.receiveText, ← b.receiveText) ("for all", "for all")
    a.sendText "others"
    expect "broadcast" (← b.receiveText) "for others"
    let broken ← Client.webSocket server.port "/room/broken"
    expect "onOpen" (← broken.closeCode) 1011
    b.sendText "throw"
    expect "onMessage" (← b.closeCode) 1011
    eventually "onClose" do return (← closes.get) == #[(0, 1011)]
    expect "errors" (← errors.get)
      #["500 internal_error: internal server error", "400 bad_request: no"]
    a.sendText "bye"
    expect "close" (← a.closeCode) 4001
    eventually "onClose" do return (← closes.get) == #[(0, 1011), (104, 4001)]
    discard <| registry.broadcast "nobody"
    expect "those that have ended" (← registry.size) 0

/-- A peer that sends much and reads nothing is left alone, and gets all of it in the end. -/
def slowPeer : IO Unit := do
  let count := 400
  let echo : WSEvents Unit := {
    onOpen := fun _ _ => return ()
    onMessage := fun ws _ message => ws.send message
  }
  withServer (Router.new.wsEvents "/echo" echo) fun server errors => do
    let client ← Client.webSocket server.port "/echo"
    let payload := ByteArray.mk (Array.replicate 65536 7)
    let sender ← IO.asTask (prio := .dedicated) do
      for i in [0:count] do client.sendFrame .binary (payload.push i.toUInt8)
    IO.sleep 300
    for i in [0:count] do
      let frame ← client.receive
      expect "an echo" (frame.payload.size, frame.payload[65536]?) (65537, some i.toUInt8)
    IO.ofExcept sender.get
    expect "errors" (← errors.get) #[]

/-- A callback that throws while its connection waits for room ends it, and that is told. -/
def slowPeerThrows : IO Unit := do
  let closed ← IO.mkRef none
  let echo : WSEvents Unit := {
    onOpen := fun _ _ => return ()
    onMessage := fun ws _ message => do
      if message == .text "throw" then throw (.badRequest "no")
      ws.sendBinary (.mk (Array.replicate 600000 7))
    onClose := fun _ _ how => closed.set (some how.code.toNat)
  }
  withServer (Router.new.wsEvents "/echo" echo) fun server errors => do
    let client ← Client.webSocket server.port "/echo"
    for _ in [0:20] do client.sendText "more"
    IO.sleep 200
    client.sendText "throw"
    expect "the close code" (← client.closeCode) 1011
    eventually "onClose" do return (← closed.get) == some 1011
    expect "errors" (← errors.get) #["400 bad_request: no"]

/-- A close that cannot be is told of at once, also when it would be done later, and the connection
goes on. -/
def slowPeerIsClosedWrongly : IO Unit := do
  let codes ← IO.mkRef #[]
  let events : WSEvents Unit := {
    onOpen := fun ws _ => do
      for _ in [0:10] do ws.sendBinary (.mk (Array.replicate 600000 7))
      for (code, reason) in [(999, ""), (1000, "".pushn 'x' 124)] do
        try ws.close code reason catch error => codes.modify (·.push error.code)
    onMessage := fun ws _ _ => ws.close 4000
  }
  withServer (Router.new.wsEvents "/" events) fun server errors => do
    let client ← Client.webSocket server.port "/"
    IO.sleep 100
    expect "the closes" (← codes.get) #["bad_argument", "too_large"]
    client.sendText ""
    expect "the close code" (← client.closeCode) 4000
    expect "errors" (← errors.get) #[]

/-- How a WebSocket has ended may be asked on any thread, also when its handler returns. -/
def endedElsewhere : IO Unit := do
  let reason := "".pushn 'r' 120
  let connection ← IO.mkRef none
  let wrong ← IO.mkRef 0
  let router := Router.new.ws "/" fun ws _ => do
    connection.set (some ws)
    discard <| ws.receive
  withServer router fun server _ => do
    for _ in [0:200] do
      connection.set none
      let client ← Client.webSocket server.port "/"
      eventually "a connection" do return (← connection.get).isSome
      let some ws ← connection.get | return
      let tasks ← (List.range 3).mapM fun _ => IO.asTask (prio := .dedicated) do
        repeat
          match ← (ws.closed? 1000).run with
          | .ok (some how) => if how.reason != reason then wrong.modify (· + 1)
          | .ok none => pure ()
          | .error _ => break
      client.sendFrame .close (⟨#[15, 160]⟩ ++ reason.toUTF8)
      for task in tasks do IO.ofExcept task.get
    expect "other reasons" (← wrong.get) 0

def shutdown : IO Unit := do
  let inside ← IO.mkRef none
  let returned ← IO.mkRef 0
  let router := Router.new
    |>.ws "/ws" (fun ws ctx => do echo ws ctx; returned.modify (· + 1))
    |>.ws "/token" (fun _ ctx => do
      while !(← ctx.cancel.sleep 60000) do pure ()
      returned.modify (· + 1))
    |>.get "/sse" (fun ctx => return .sse <| .fromSSEEvents (close := returned.modify (· + 1)) do
      if ← ctx.cancel.sleep 60000 then return none
      return some {})
    |>.get "/quit" (fun _ => do
      if let some server ← inside.get then (server : Server).shutdown 5000
      return .text "bye")
  withServer router fun server _ => do
    inside.set (some server)
    let ws ← Client.webSocket server.port "/ws"
    ws.sendText "x"
    expect "echo" (← ws.receiveText) "x"
    let token ← Client.webSocket server.port "/token"
    let sse ← Client.connect server.port
    sse.request "GET /sse"
    discard <| sse.untilText "\r\n\r\n"
    expectIn "a handler that shuts down" (← Client.fetch server.port "GET /quit") "bye"
    expect "WebSockets" (← ws.closeCode, ← token.closeCode) (1001, 1001)
    discard <| sse.rest
    server.wait
    expect "handlers that have returned" (← returned.get) 3

def mistakes : IO Unit := do
  let failure (action : IO Server) : IO String := do
    match ← action.toBaseIO with
    | .ok _ => return "no error"
    | .error error => return toString error
  expectIn "an address" (← failure (Server.start { host := "nowhere" } Router.new)) "nowhere"
  expectIn "a limit" (← failure (Server.start { maxConnections := 0 } Router.new)) "max_connections"
  expectIn "a text with a NUL" (← failure (Server.start { host := "a\x00b" } Router.new)) "NUL"
  let pattern := Router.new.get "/*a/b" fun _ => return .empty
  expectIn "a pattern" (← failure (Server.start {} pattern)) "*a"
  let options := Router.new.ws "/" (fun _ _ => return ()) { pingIntervalMs := 0 }
  expectIn "an option" (← failure (Server.start {} options)) "ping_interval_ms"
  let options := Router.new.ws "/" (fun _ _ => return ()) { closeTimeoutMs := 10000000000 }
  expectIn "an option" (← failure (Server.start {} options)) "close_timeout_ms"
  let first ← Server.start {} Router.new
  let taken ← failure (Server.start { port := first.port } Router.new)
  expectIn "a port" taken s!"127.0.0.1:{first.port}"
  expect "an error of the library" (taken.splitOn "error code").length 1
  first.shutdown
  first.shutdown

end ServerTests
