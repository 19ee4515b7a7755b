import LitheRt
import Tests.Check
import Tests.Client
import Tests.Server

/-!
Hubs, by themselves and by clients.
-/

open LitheRt

namespace HubTests

def publications : IO Unit := do
  let hub ← Hub.create { namespaces := #[{ pattern := some "short.*", historySize := 2 }] }
  expect "nothing yet" (← hub.position "news") none
  expect "nothing yet" ((← hub.history "news").isNone) true
  let first ← hub.publish "news" "one" { name := some "n", key := some "k" }
  expect "the first" (first.position.offset, first.receivers, first.duplicate) (1, 0, false)
  let options : PublishOptions := { idempotencyKey := some "once" }
  let second ← hub.publishBytes "news" ⟨#[0, 255]⟩ options
  let again ← hub.publishBytes "news" ⟨#[0, 255]⟩ options
  expect "again" (again.position, again.duplicate) (second.position, true)
  expect "the position" (← hub.position "news") (some second.position)
  let some page ← hub.history "news" | throw (.userError "no history")
  expect "the history" (page.publications.map fun p => (p.name, p.key, p.data.toList))
    #[("n", "k", "one".toUTF8.toList), ("", "", [0, 255])]
  let some page ← hub.history "news" first.position.offset | throw (.userError "no history")
  expect "a page" (page.publications.map (·.position)) #[second.position]
  for i in [0:5] do discard <| hub.publish "short.a" (toString i)
  let some page ← hub.history "short.a" | throw (.userError "no history")
  expect "a short history" (page.start.offset, page.publications.size) (3, 2)
  expect "health" (← hub.isHealthy) true
  expect "stats" ((← hub.stats).published, (← hub.stats).duplicates) (7, 1)
  match ← (hub.publish "no channel" "").toBaseIO with
  | .ok _ => throw (.userError "published on what is no channel")
  | .error error => expectIn "no channel" (toString error) "a channel's name cannot hold"
  hub.close

def subscriptions : IO Unit := do
  let hub ← Hub.create { namespaces := #[{ pattern := some "room.*", presence := .listed }] }
  let router := Router.new
    |>.get "/news" (fun _ => return .subscribe hub ["news"])
    |>.get "/no-channel" (fun _ => return .subscribe hub ["news", "no channel"])
    |>.get "/no-channels" (fun _ => return .subscribe hub [])
    |>.ws "/rooms" (fun ws _ => do
      ws.subscribe hub ["room.1", "news"] { client := some "ann" }
      ws.sendText "subscribed"
      while (← ws.receive).isSome do
        ws.unsubscribe hub "news"
        ws.sendText "unsubscribed")
  ServerTests.withServer router fun server errors => do
    let ws ← Client.webSocket server.port "/rooms"
    expect "subscribe" (← ws.receiveText) "subscribed"
    expect "presence" ((← hub.presence "room.1").map (·.1)) #["ann"]
    let published ← hub.publish "news" "one"
    expect "receivers" published.receivers 1
    expect "a publication" (← ws.receiveText) "one"
    ws.sendText ""
    expect "unsubscribe" (← ws.receiveText) "unsubscribed"
    let sse ← Client.connect server.port
    sse.request "GET /news"
    discard <| sse.untilText "event: lithe.sub\n"
    discard <| hub.publish "news" "two"
    expectIn "an event" (← sse.untilText "data: two\n") "data: two\n"
    let late ← Client.connect server.port
    late.request "GET /news" [s!"Last-Event-ID: {published.position}"]
    expectIn "what was missed" (← late.untilText "data: two\n") "\"recovered\":true"
    sse.shutdown
    late.shutdown
    eventually "the end of the streams" do return (← server.stats).sseOpen == 0
    expect "errors" (← errors.get) #[]
    for path in ["/no-channel", "/no-channels"] do
      expectIn path (← Client.fetch server.port s!"GET {path}") " 500 "
    eventually "the errors" do return (← errors.get).size == 2
    hub.close
    expectIn "a closed hub" (← Client.fetch server.port "GET /news") " 500 "

/-! An authorizer that panics refuses. -/

#guard match (default : Grant) with | .refuse .denied => true | _ => false

def access : IO Unit := do
  let hub ← Hub.create
  let asked ← IO.mkRef #[]
  let authorizer : Authorizer := fun question => do
    asked.modify (·.push (question.action, question.channel, question.subject))
    match question.action with
    | .connect =>
      if (← question.header? "x-user") == some "ann" then return .allow (subject := "ann")
      else return .refuse .missing
    | .subscribe =>
      if question.channel == "broken" then throw (.userError "no idea")
      if question.channel == "news" then return .allow else return .refuse
    | _ => return .refuse
  let router := Router.new
    |>.mount "/open" hub
    |>.mount "/hub" hub { access := .program }
    |>.authorize authorizer
  match ← (Server.start {} { router with authorizer? := none }).toBaseIO with
  | .ok _ => throw (.userError "started without anybody to ask")
  | .error error => expectIn "nobody to ask" (toString error) "Router.authorize"
  ServerTests.withServer router fun server errors => do
    let expectLine (path : String) (headers : List String) (line : String) : IO Unit := do
      let client ← Client.connect server.port
      client.request s!"GET {path}" headers
      discard <| client.untilText line
    expectLine "/open/sse?channel=news" [] "event: lithe.sub\n"
    expect "who may do what in the open" (← asked.get) #[]
    expectLine "/hub/sse?channel=news" [] " 401 "
    expectLine "/hub/sse?channel=news" ["X-User: ann"] "event: lithe.sub\n"
    expect "what was asked" (← asked.get)
      #[(.connect, "", ""), (.connect, "", ""), (.subscribe, "news", "ann")]
    expectLine "/hub/sse?channel=other" ["X-User: ann"] " 403 "
    expect "errors" (← errors.get) #[]
    discard <| Client.fetch server.port "GET /hub/poll?channel=broken" ["X-User: ann"]
    -- The client may have its answer before the program is told.
    eventually "the error" do return (← errors.get) == #["no idea"]
  hub.close

end HubTests
