import LitheRt.Http.Router

/-!
Routes, URLs, headers and errors, case by case. They are checked when this file is compiled.
-/

open LitheRt

namespace RouterTests

def nothing : Handler := fun _ => return .empty

def router : Router := Router.new
  |>.get "/" nothing
  |>.get "/rooms/:room" nothing
  |>.get "/rooms/lobby" nothing
  |>.post "/rooms/:room" nothing
  |>.get "/files/*path" nothing
  |>.get "/files/:name/info" nothing
  |>.ws "/chat" (fun _ _ => return ())
  |>.get "/page" nothing
  |>.ws "/page" (fun _ _ => return ())
  |>.wsEvents "/events/:id" { onOpen := fun _ _ => return (), onMessage := fun _ s _ => return s }

/-! The most specific pattern counts, wherever it stands, and captures are decoded. -/

#guard router.choose .GET "/" = .route 0 []
#guard router.choose .GET "/rooms/a%20b%2Fc" = .route 1 [("room", "a b/c")]
#guard router.choose .GET "/rooms/lobby" = .route 2 []
#guard router.choose .GET "/rooms/l%6Fbby" = .route 2 []
#guard router.choose .POST "/rooms/lobby" = .route 3 [("room", "lobby")]
#guard router.choose .GET "/files/a/b.txt" = .route 4 [("path", "a/b.txt")]
#guard router.choose .GET "/files/a/info" = .route 5 [("name", "a")]
#guard router.choose .GET "/files" = .nothing
#guard router.choose .GET "/nowhere" = .nothing
#guard router.choose .GET "//rooms//x/" = .route 1 [("room", "x")]

/-! Methods. -/

#guard router.choose .HEAD "/rooms/x" = .route 1 [("room", "x")]
#guard router.choose .PUT "/rooms/x" = .otherMethods [.GET, .POST, .HEAD, .OPTIONS]
#guard router.choose (.ofString "BREW") "/files/x" = .otherMethods [.GET, .HEAD, .OPTIONS]

/-! WebSockets. -/

#guard router.choose .GET "/chat" true = .route 6 []
#guard router.choose .GET "/chat" = .onlyWebSocket
#guard router.choose .GET "/page" = .route 7 []
#guard router.choose .GET "/page" true = .route 8 []
#guard router.choose .CONNECT "/page" true = .route 8 []
#guard router.choose .GET "/events/7" true = .route 9 [("id", "7")]
#guard router.choose .GET "/rooms/x" true = .route 1 [("room", "x")]

/-! Routers below routers. -/

#guard (Router.new.nest "/api/:version" router).choose .GET "/api/2/rooms/x" =
  .route 1 [("version", "2"), ("room", "x")]

def mounted (pattern : String) : Router :=
  Router.new.nest pattern
    { mounts := #[⟨"/hub/", 0, return #[], true⟩], authorizer? := some fun _ => return .allow }

#guard (mounted "/api/").mounts.map (·.path) = #["/api/hub"]
#guard (mounted "/api/").error? = none
#guard (mounted "/api/:version").error?.isSome

/-! Patterns that make no sense. -/

#guard router.error? = none
#guard (Router.new.get "/a/*rest/b" nothing).error?.isSome
#guard (Router.new.get "/:" nothing).error?.isSome

/-! What is written in a URL. -/

#guard Url.decode "caf%C3%A9" = "café"
#guard Url.decode "100%" = "100%"
#guard Url.decode "%zz%4" = "%zz%4"
#guard Url.decode "%FF" = "%FF"
#guard Url.decode "a+b" = "a+b"
#guard Url.decode "a+b%2B" true = "a b+"
#guard Url.parameters "name=Ann+B&x=1&&y&z=a=b" =
  #[("name", "Ann B"), ("x", "1"), ("y", ""), ("z", "a=b")]

/-! Requests. -/

def request : Request := {
  method := .GET
  path := "/"
  query := "q=1&q=2"
  headers := #[("cookie", "a=1; b = x=y"), ("x-one", "1"), ("x-one", "2")]
  body := ⟨#[0x7B, 0xFF]⟩
}

#guard request.query? "q" = some "1"
#guard request.query? "r" = none
#guard request.header? "X-One" = some "1"
#guard request.headers.values "x-one" = #["1", "2"]
#guard request.cookie? "b" = some "x=y"
#guard request.cookie? "c" = none
#guard request.bodyText.toOption = none

/-! Responses, and what a client is told of errors. -/

#guard ((Response.text "x").setHeader "Content-Type" "text/css").headers =
  #[("Content-Type", "text/css")]
#guard (Response.redirect "/x").status = 303
#guard (HttpError.badRequest "no \"x\"\n\x01").toJsonText =
  "{\"status\":400,\"code\":\"bad_request\",\"message\":\"no \\\"x\\\"\\n\\u0001\"}"
#guard (HttpError.ofIO (.otherError 10 "secret")).toJsonText =
  "{\"status\":500,\"code\":\"io\",\"message\":\"io\"}"
#guard (HttpError.ofIO (.otherError 1 "")).isClosed
#guard (Response.ofError { status := 200, code := "odd", message := "" }).status = 500
#guard String.fromUTF8? (Response.ofError { status := 200, code := "odd", message := "" }).body =
  some "{\"status\":500,\"code\":\"odd\",\"message\":\"\"}"

end RouterTests
