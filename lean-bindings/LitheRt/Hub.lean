import LitheRt.Hub.Options
import LitheRt.Runtime.Server

/-!
# Channels with history

What is published on a channel the library delivers to all who are subscribed, at the pace of their
clients, and keeps for those who come back: they say where they left off, and get what they have
missed.
-/

namespace LitheRt

/-- A place in the history of a channel: right after the publication with that offset. As text it is
what clients present as their cursor: `9f3a61c20b7e-42`. -/
structure HubPosition where
  /-- Which history: a random number, which is another one whenever the history was begun anew. -/
  epoch : UInt64
  /-- The number of the publication. The first is 1; 0 is the beginning. -/
  offset : UInt64
  deriving BEq, DecidableEq, Inhabited, Repr

instance : ToString HubPosition where
  toString position := s!"{String.ofList (Nat.toDigits 16 position.epoch.toNat)}-{position.offset}"

/-- What became of a publication. -/
structure Published where
  /-- Where it is in the channel's history. -/
  position : HubPosition
  /-- How many subscribers the channel has. -/
  receivers : Nat
  /-- Whether it was published before, with the same idempotency key; then that is where it is. -/
  duplicate : Bool
  deriving BEq, Inhabited, Repr

/-- What was published. -/
structure Publication where
  /-- Where it is in the history. -/
  position : HubPosition
  /-- When it was published, in milliseconds since 1970. -/
  timeMs : UInt64
  /-- What kind of message it is; empty when that was not said. -/
  name : String
  /-- What it is about; empty when that was not said. -/
  key : String
  /-- What was published. -/
  data : ByteArray
  deriving BEq, Inhabited

/-- A page of a channel's history. -/
structure HubHistory where
  /-- After this the history begins: what was published before is gone. -/
  start : HubPosition
  /-- Here it ends, whether or not all up to here is on the page. -/
  «end» : HubPosition
  /-- The page, from the oldest. -/
  publications : Array Publication
  deriving Inhabited

/-- What a hub holds and has done. -/
structure HubStats where
  /-- At present: channels. -/
  channels : UInt64
  /-- At present: subscribers. -/
  subscribers : UInt64
  /-- At present: bytes that channels and their publications take. -/
  historyBytes : UInt64
  /-- The bytes that they may take. -/
  historyBudgetBytes : UInt64
  /-- Messages that were published. -/
  published : UInt64
  /-- Messages that were not, because their idempotency key was known. -/
  duplicates : UInt64
  /-- Publications that subscribers have got. -/
  delivered : UInt64
  /-- Channels that were dropped to keep to the budget. -/
  channelsLost : UInt64
  /-- Gaps that subscribers were told of, whatever the reason. -/
  gaps : UInt64
  deriving BEq, Inhabited, Repr

/-- Channels with history. A hub belongs to no server: several may share it. It is there until
`close`, or the end of the process. -/
structure Hub where
  /-- Its handle. -/
  handle : UInt64
  deriving BEq, Inhabited

namespace Hub

/-- Makes a hub. It has a thread of the library's, and with Redis another one, which connects by
itself and again whenever the connection breaks (`isHealthy`).

Errors: when an option makes no sense. -/
def create (options : HubOptions := {}) : IO Hub := plainly do
  FFI.withOptions .hub (← options.fields) (withNamespaces options.namespaces.toList #[])
where
  /-- Makes the hub with those namespaces, and those that are made already. -/
  withNamespaces : List ChannelOptions → Array UInt64 → UInt64 → IO Hub
    | [], made, options => return ⟨← FFI.hubCreate options made⟩
    | ns :: rest, made, options => do
      FFI.withOptions .channel (← ns.fields) fun handle =>
        withNamespaces rest (made.push handle) options

/-- Ends a hub, behind the shutdown of the servers that use it. Blocks until its thread has
ended. -/
def close (hub : Hub) : IO Unit :=
  plainly (FFI.hubFree hub.handle)

/-- Publishes bytes on a channel: appends them to its history, and has them delivered to all who are
subscribed. Never waits for any of them. The name of a channel is made of segments with dots between
them, as in `builds.42.log`, of ASCII letters and digits and `- _ : @ ~ + =`.

Never blocks, unless the hub has a Redis. Errors: when it is no name of a channel, or there is more
than 16 MiB; with Redis when it cannot be reached, or has not answered in time, after which the
message may or may not have been published. -/
def publishBytes (hub : Hub) (channel : String) (data : ByteArray)
    (options : PublishOptions := {}) : IO Published := plainly do
  let fields := options.fields
  let numbers ←
    if fields.isEmpty then FFI.publish hub.handle channel data 0
    else FFI.withOptions .publish fields (FFI.publish hub.handle channel data)
  return {
    position := { epoch := numbers[0]!, offset := numbers[1]! }
    receivers := numbers[2]!.toNat
    duplicate := numbers[3]! != 0
  }

/-- Publishes text. Otherwise it is `publishBytes`. -/
def publish (hub : Hub) (channel data : String) (options : PublishOptions := {}) : IO Published :=
  hub.publishBytes channel data.toUTF8 options

/-- Where the history of a channel ends; none when nothing was ever published on it, or it was
dropped to keep to the budget. With Redis only what this hub has read of a channel is known, as it
does while somebody is subscribed to it here. Never blocks. -/
def position (hub : Hub) (channel : String) : IO (Option HubPosition) := plainly do
  return (← FFI.hubPosition hub.handle channel).map fun (epoch, offset) => { epoch, offset }

/-- A page of a channel's history: at most `limit` publications from after that offset on; 0 asks
for the first page, the offset of the last one for the next. When `start.offset` is larger than
`after`, what is between them is gone. None as for `position`. Never blocks. -/
def history (hub : Hub) (channel : String) (after : UInt64 := 0) (limit : Nat := 100) :
    IO (Option HubHistory) := plainly do
  let page? ← FFI.hubHistory hub.handle channel after (min limit 10000).toUInt32
  return page?.map fun (ends, publications) => {
    start := { epoch := ends[0]!, offset := ends[1]! }
    «end» := { epoch := ends[2]!, offset := ends[3]! }
    publications := publications.map fun (numbers, (name, key), data) => {
      position := { epoch := numbers[0]!, offset := numbers[1]! }
      timeMs := numbers[2]!
      name, key, data
    }
  }

/-- Who is on a channel whose options ask for presence, in no particular order, and what others may
know of each. With Redis those who are on it by this hub. Never blocks. -/
def presence (hub : Hub) (channel : String) : IO (Array (String × ByteArray)) :=
  plainly (FFI.hubPresence hub.handle channel)

/-- Whether the hub is well, as it always is without Redis; otherwise nothing can be published:
subscribers stay, and get what they have missed when Redis is there again. Never blocks. -/
def isHealthy (hub : Hub) : IO Bool :=
  plainly (FFI.hubHealth hub.handle)

/-- What the hub holds and has done. Never blocks. -/
def stats (hub : Hub) : IO HubStats := plainly do
  let n ← FFI.hubStats hub.handle
  return {
    channels := n[0]!, subscribers := n[1]!, historyBytes := n[2]!, historyBudgetBytes := n[3]!
    published := n[4]!, duplicates := n[5]!, delivered := n[6]!, channelsLost := n[7]!
    gaps := n[8:].foldl (· + ·) 0
  }

end Hub

/-- Subscribes a WebSocket to channels of a hub, or to all channels of a pattern such as `chat.*`:
from then on the library sends it what is published there, in order, between what the program sends,
until it is closed. A client that is slow slows nobody down: it holds a place in the channel's
history.

Never blocks. Errors: `bad_argument`, `closed`, `full` for more than 256 channels and patterns,
`wrong_state` when it is subscribed to the hub already and the options differ. -/
def WSConnection.subscribe (ws : WSConnection) (hub : Hub) (channels : List String)
    (options : SubscribeOptions := {}) : ExceptT HttpError IO Unit :=
  HttpError.lift <| FFI.withOptions .subscribe options.fields <|
    FFI.wsSubscribe ws.id hub.handle (",".intercalate channels)

/-- Subscribes a WebSocket no longer to a channel or pattern, which is given as it was subscribed
to. Never blocks. Errors: `closed`, `not_found` when it was not subscribed to it. -/
def WSConnection.unsubscribe (ws : WSConnection) (hub : Hub) (channel : String) :
    ExceptT HttpError IO Unit :=
  HttpError.lift (FFI.wsUnsubscribe ws.id hub.handle channel)

/-- An event stream of what is published on channels of a hub, which the library delivers by itself:
it takes no thread. The cursor is that of the request (`Request.lastEventId`) when the options have
none, so that a browser that comes back gets what it has missed. When the hub is closed, or a channel
cannot be one, the client is told 500, and the program why. -/
def Response.subscribe (hub : Hub) (channels : List String) (options : SubscribeOptions := {})
    (keepAliveMs : Setting := .default) (retryMs : Setting := .default) : Response where
  takeover := some fun request => do
    if channels.isEmpty then throw (.userError "an event stream needs a channel")
    for channel in channels do
      unless channel.contains '*' do discard <| FFI.hubPosition hub.handle channel
    let lastEventId := (← FFI.requestLastEventId request).filter (!·.contains '\x00')
    let cursor := options.cursor <|> lastEventId
    let fields ← FFI.Fields.setting #[("events", "1")] "keep_alive_ms" keepAliveMs
    let fields ← fields.setting "retry_ms" retryMs
    let sse ← FFI.withOptions .sse fields (FFI.sseOpen request)
    -- From here on the event loop frees the stream, when it has ended.
    try
      FFI.withOptions .subscribe { options with cursor }.fields <|
        FFI.sseSubscribe sse hub.handle (",".intercalate channels)
    catch error =>
      FFI.sseClose sse
      throw error

/-- Has the library serve a hub below a path, such as `/hub`, by its own protocol: `/hub/sse` as an
event stream, `/hub/ws` as a WebSocket, `/hub/poll` as a long-poll, with one cursor for all three. A
page listens with `new EventSource("/hub/sse?channel=news")`. Requests below the path do not reach
the router. -/
def Router.mount (router : Router) (path : String) (hub : Hub) (options : MountOptions := {}) :
    Router :=
  let asks := match options.access with | .program => true | _ => false
  { router with
    mounts := router.mounts.push { path, hub := hub.handle, fields := options.fields, asks } }

end LitheRt
