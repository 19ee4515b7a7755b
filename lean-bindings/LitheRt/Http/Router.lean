import LitheRt.Http.WebSocket.Events
import LitheRt.Hub.Access

/-!
# Which handler a request is for

```
Router.new
  |>.get "/rooms/:room" showRoom
  |>.post "/rooms/:room/messages" postMessage
  |>.get "/files/*path" sendFile
  |>.ws "/chat" chat
```
-/

namespace LitheRt

namespace Router

/-- A segment of a pattern. What is captured is decoded, so there may be a `/` in it, and it may be
`..`: before it names a file it has to be checked. -/
inductive Segment where
  /-- This very text. -/
  | literal (text : String)
  /-- Any one segment: `:name`. -/
  | param (name : String)
  /-- All that is left, at least one segment: `*name`. -/
  | rest (name : String)
  deriving BEq, DecidableEq, Inhabited, Repr

/-- A path with places for names, such as `/rooms/:room` and `/files/*path`. Empty segments do not
count, in patterns as in paths: `/a/` is `/a`. -/
abbrev Pattern := List Segment

namespace Pattern

/-- Reads a pattern. -/
def parse (pattern : String) : Pattern :=
  pattern.splitOn "/" |>.filter (· ≠ "") |>.map fun segment =>
    if segment.startsWith ":" then .param (segment.drop 1).toString
    else if segment.startsWith "*" then .rest (segment.drop 1).toString
    else .literal segment

/-- What is wrong with a pattern, if anything is. -/
def error? : Pattern → Option String
  | [] => none
  | .rest name :: segment :: _ => some s!"nothing can follow *{name}, but {repr segment} does"
  | .param "" :: _ | .rest "" :: _ => some "a : or * without a name"
  | _ :: segments => error? segments

/-- What the pattern captures of the decoded segments of a path, if it fits. -/
def captures : Pattern → List String → Option (List (String × String))
  | [], [] => some []
  | .literal text :: pattern, segment :: path =>
    if text == segment then captures pattern path else none
  | .param name :: pattern, segment :: path => (captures pattern path).map ((name, segment) :: ·)
  | [.rest name], segment :: path => some [(name, "/".intercalate (segment :: path))]
  | _, _ => none

/-- Whether of two patterns that fit the same path the first says more of it: from the left, a
literal says more than one segment, and that more than all that is left. -/
def moreSpecific : Pattern → Pattern → Bool
  | .literal _ :: a, .literal _ :: b => moreSpecific a b
  | .literal _ :: _, _ => true
  | .param _ :: a, .param _ :: b => moreSpecific a b
  | .param _ :: _, .rest _ :: _ => true
  | _, _ => false

end Pattern

/-- What a route does. -/
inductive Endpoint where
  /-- It has a handler. -/
  | handler (handler : Handler)
  /-- Its WebSockets are served by the event loop; the number is that of the route. -/
  | events (start : UInt64 → IO WSSink)

/-- A pattern, and what is done with the requests that fit it. -/
structure Route where
  /-- The method; none is for WebSockets. -/
  method : Option Method
  /-- The paths. -/
  pattern : Pattern
  /-- What is done. -/
  endpoint : Endpoint
  /-- Throws when the route makes no sense. -/
  check : IO Unit := return ()

/-- A hub that the library serves below a path. -/
structure Mount where
  /-- The path. -/
  path : String
  /-- The hub's handle. -/
  hub : UInt64
  /-- What clients may do, and the like, by the names of the library. -/
  fields : IO FFI.Fields
  /-- Whether the program is asked what clients may do. -/
  asks : Bool

end Router

/-- What is done with which requests. -/
structure Router where
  /-- The routes, in the order in which they were added. -/
  routes : Array Router.Route := #[]
  /-- The hubs. -/
  mounts : Array Router.Mount := #[]
  /-- Answers what no route fits; none is for 404. -/
  fallback : Option Handler := none
  /-- Says what the clients of hubs may do that are mounted so (`Access.program`). -/
  authorizer? : Option Authorizer := none

namespace Router

/-- No routes: every request is answered with 404. -/
def new : Router := {}

/-- Adds a route for requests with that method. Where several routes fit, the most specific pattern
counts, and of two that are the same the first. -/
def route (router : Router) (method : Method) (pattern : String) (handler : Handler) : Router :=
  { router with
    routes := router.routes.push
      { method := some method, pattern := Pattern.parse pattern, endpoint := .handler handler } }

/-- Adds a route for GET, and for HEAD, to which the body is left out. -/
def get (router : Router) (pattern : String) (handler : Handler) : Router :=
  router.route .GET pattern handler

/-- Adds a route for POST. -/
def post (router : Router) (pattern : String) (handler : Handler) : Router :=
  router.route .POST pattern handler

/-- Adds a route for PUT. -/
def put (router : Router) (pattern : String) (handler : Handler) : Router :=
  router.route .PUT pattern handler

/-- Adds a route for PATCH. -/
def patch (router : Router) (pattern : String) (handler : Handler) : Router :=
  router.route .PATCH pattern handler

/-- Adds a route for DELETE. -/
def delete (router : Router) (pattern : String) (handler : Handler) : Router :=
  router.route .DELETE pattern handler

/-- Adds a route for WebSockets, each of which gets a thread. -/
def ws (router : Router) (pattern : String) (handler : WSHandler) (options : WSOptions := {}) :
    Router :=
  { router with
    routes := router.routes.push {
      method := none
      pattern := Pattern.parse pattern
      endpoint := .handler (handler.toHandler options)
      check := options.check
    } }

/-- Adds a route for WebSockets that all share the thread of the event loop. -/
def wsEvents (router : Router) (pattern : String) (events : WSEvents σ)
    (options : WSOptions := {}) : Router :=
  { router with
    routes := router.routes.push {
      method := none
      pattern := Pattern.parse pattern
      endpoint := .events (events.start options)
      check := options.check
    } }

/-- Adds the routes of another router below a pattern. Its fallback does not count, and what it was
authorized with only where this router has nothing for that. -/
def nest (router : Router) (pattern : String) (child : Router) : Router :=
  let under := Pattern.parse pattern
  { router with
    routes := router.routes ++ child.routes.map fun r => { r with pattern := under ++ r.pattern }
    mounts := router.mounts ++ child.mounts.map fun m =>
      { m with path := "/" ++ "/".intercalate (segments pattern ++ segments m.path) }
    authorizer? := router.authorizer? <|> child.authorizer? }
where
  /-- What is between the slashes. -/
  segments (path : String) : List String := path.splitOn "/" |>.filter (· ≠ "")

/-- Answers what no route fits, instead of a 404. -/
def withFallback (router : Router) (handler : Handler) : Router :=
  { router with fallback := some handler }

/-- Has the program say what the clients of hubs may do that are mounted so (`Access.program`). -/
def authorize (router : Router) (authorizer : Authorizer) : Router :=
  { router with authorizer? := some authorizer }

/-- Puts something around all handlers that the router has at this time, its fallback included. -/
def wrap (router : Router) (middleware : Handler → Handler) : Router :=
  { router with
    routes := router.routes.map fun r => match r.endpoint with
      | .handler h => { r with endpoint := .handler (middleware h) }
      | .events _ => r
    fallback := middleware (router.fallback.getD fun _ => throw .notFound) }

/-- What becomes of a request. -/
inductive Choice where
  /-- The route with that number fits, and has captured that. -/
  | route (number : Nat) (params : List (String × String))
  /-- There are routes for the path, but for other methods: these. -/
  | otherMethods (allowed : List Method)
  /-- There are only WebSockets. -/
  | onlyWebSocket
  /-- There is nothing. -/
  | nothing
  deriving BEq, DecidableEq, Repr

/-- The routes whose pattern fits a path, the most specific first, with what they capture. -/
private def fitting (router : Router) (path : String) :
    List (Nat × Route × List (String × String)) :=
  let segments := Url.segments path
  let found := router.routes.toList.zipIdx.filterMap fun (route, number) =>
    (Pattern.captures route.pattern segments).map fun params => (number, route, params)
  found.mergeSort fun (_, a, _) (_, b, _) => !Pattern.moreSpecific b.pattern a.pattern

/-- Finds what a request is for. -/
def choose (router : Router) (method : Method) (path : String) (isWebSocket : Bool := false) :
    Choice :=
  let fitting := router.fitting path
  let takes (method : Option Method) := fitting.find? fun (_, route, _) => route.method == method
  let found := if isWebSocket then takes none <|> takes (some .GET)
    else takes (some method) <|> if method == .HEAD then takes (some .GET) else none
  match found with
  | some (number, _, params) => .route number params
  | none =>
    if fitting.isEmpty then .nothing else
    let methods := fitting.filterMap (·.2.1.method) |>.eraseDups
    if methods.isEmpty then .onlyWebSocket else
    let head := if methods.contains .GET && !methods.contains .HEAD then [.HEAD] else []
    let options := if methods.contains .OPTIONS then [] else [.OPTIONS]
    .otherMethods (methods ++ head ++ options)

/-- What is wrong with the router, if anything is. -/
def error? (router : Router) : Option String :=
  if router.mounts.any (·.asks) && router.authorizer?.isNone then
    some "a hub is mounted with Access.program, but Router.authorize was not called"
  else
    router.routes.findSome? (fun route => Pattern.error? route.pattern) <|>
    router.mounts.findSome? fun mount =>
      if (Pattern.parse mount.path).all fun | .literal _ => true | _ => false then none
      else some s!"a hub is mounted on {mount.path}, where nothing can be captured"

end Router

end LitheRt
