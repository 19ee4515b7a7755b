import LitheRt.Runtime.Options

namespace LitheRt

/-- What becomes of publications that a subscriber does not read in time. -/
inductive Overflow where
  /-- The subscriber reads on in the channel's history whenever it can. When the history has moved
  past it, it is told of one gap. -/
  | resume
  /-- Of the publications with the same key only the newest is kept and delivered. -/
  | latest
  /-- It is told of the gap, and goes on with the oldest publication that there is. -/
  | dropOldest
  /-- Its connection is closed, a WebSocket with 4201. -/
  | disconnect
  deriving BEq, DecidableEq, Inhabited, Repr

/-- Where a subscriber goes on that has missed something. -/
inductive AfterGap where
  /-- With what is published from now on. -/
  | newest
  /-- With the oldest publication that there still is. -/
  | oldest
  deriving BEq, DecidableEq, Inhabited, Repr

/-- Whether a channel knows who is on it. -/
inductive Presence where
  /-- It does not. -/
  | off
  /-- It does, and can be asked (`Hub.presence`). -/
  | listed
  /-- Its subscribers are also told of who joins and who leaves. -/
  | announced
  deriving BEq, DecidableEq, Inhabited, Repr

/-- How the channels of a namespace shall behave. Times are in milliseconds. -/
structure ChannelOptions where
  /-- Which channels: a pattern such as `prices.*`, where `*` is one segment, or `chat.**`, where
  `**` is all that follow. Where several fit, the one with the most segments that are no wildcards
  counts. None: all that are in no other namespace. -/
  pattern : Option String := none
  /-- How many publications are kept for those who come back. Off: whoever was away and missed
  something is told of a gap. Default: 1,000. -/
  historySize : Setting := .default
  /-- For how long they are kept. Default: 5 minutes. -/
  historyAgeMs : Setting := .default
  /-- How many publications are kept for subscribers who have yet to read them. Default: 256. -/
  backlog : Setting := .default
  /-- What becomes of publications that a subscriber does not read in time. -/
  overflow : Overflow := .resume
  /-- Where a subscriber goes on that was too slow. -/
  afterGap : AfterGap := .newest
  /-- The shortest time between two deliveries to one subscriber. Default: no delay. -/
  minIntervalMs : Setting := .default
  /-- Whether the channels know who is on them. -/
  presence : Presence := .off
  /-- How many idempotency keys a channel remembers. Default: 1,000. -/
  idempotencyKeys : Setting := .default
  /-- For how long it remembers them. Default: 5 minutes. -/
  idempotencyAgeMs : Setting := .default
  deriving Inhabited

/-- How a hub shall behave. Sizes are in bytes, times in milliseconds. -/
structure HubOptions where
  /-- The options of namespaces. -/
  namespaces : Array ChannelOptions := #[]
  /-- What all channels with all their publications may take together. When there is more, the
  channels that were not used for the longest time lose their oldest publications. Default: 64
  MiB. -/
  historyBudgetBytes : Setting := .default
  /-- How many publications are replayed at most on a channel to one who comes back; who has missed
  more is told of a gap. Default: 1,000. -/
  replayLimit : Setting := .default
  /-- The same in bytes of data. Default: 1 MiB. -/
  replayLimitBytes : Setting := .default
  /-- How many channels one subscriber may have by patterns. Default: 10,000. -/
  maxPatternChannels : Setting := .default
  /-- The Redis or Valkey, such as `redis://redis.internal:6379`, by which this hub is one with
  those of other processes that have the same namespaces; with a Sentinel or cluster several, with
  commas between them. None: the history is in memory. -/
  redisUrl : Option String := none
  /-- What all keys in Redis begin with. Default: `lithe`. -/
  redisPrefix : Option String := none
  /-- The name of the master that Sentinels watch over. -/
  redisSentinel : Option String := none
  /-- Whether it is a cluster. -/
  redisCluster : Bool := false
  /-- How long `Hub.publish` may wait for Redis. Default: 5 s. Cannot be off. -/
  publishTimeoutMs : Setting := .default
  deriving Inhabited

/-- What is to be known about a publication besides its data. Each text has at most 255 bytes and no
control characters. -/
structure PublishOptions where
  /-- What kind of message it is: the type of the event in an event stream. -/
  name : Option String := none
  /-- What it is about: with `Overflow.latest` it takes the place of earlier ones with the same
  key. -/
  key : Option String := none
  /-- Names this attempt to publish: what was published on the channel before with the same one is
  not published again. -/
  idempotencyKey : Option String := none
  deriving Inhabited

/-- In which form publications are delivered. -/
inductive DeliveryFormat where
  /-- What was published, and nothing else. -/
  | data
  /-- The same, but on a WebSocket always as bytes. -/
  | binary
  /-- An object in JSON, which names the channel and the position. -/
  | json
  deriving BEq, DecidableEq, Inhabited, Repr

/-- How a connection is subscribed to a hub. All but the cursor holds for everything that it gets of
that hub, and must be the same each time. -/
structure SubscribeOptions where
  /-- Where the client left off: the cursor that it got last, such as its `lastEventId`, or a
  position as text. None: with what is published from now on. -/
  cursor : Option String := none
  /-- In which form publications are delivered. -/
  format : DeliveryFormat := .data
  /-- Where it goes on when it has missed something while it was away. -/
  afterGap : AfterGap := .newest
  /-- Whether a client that has missed something stays, though it cannot be told so. Otherwise a
  WebSocket that gets `data` or `binary` is closed with 4204 then. -/
  ignoreGaps : Bool := false
  /-- Whether every event of an event stream has the cursor for its id, also where it is longer than
  256 bytes. -/
  strictIds : Bool := false
  /-- Who it is, by which others see it where presence is on. None: nobody. -/
  client : Option String := none
  /-- What others may know of it. -/
  info : Option String := none
  deriving Inhabited

/-- How tokens are checked (JSON Web Tokens). -/
structure JwtOptions where
  /-- How they are signed: `HS256` and so on for a secret, `RS256`, `PS256`, `ES256`, `EdDSA` and so
  on for a public key. -/
  algorithm : Option String := none
  /-- The secret, or the public key in PEM. -/
  key : Option String := none
  /-- A file with keys (RFC 7517), besides that one or in its place. It is read again when it has
  changed. -/
  keyFile : Option System.FilePath := none
  /-- Who they have to be from (`iss`). None: anybody who has the key. -/
  issuer : Option String := none
  /-- Who they have to be for (`aud`). None: tokens that are for somebody in particular are
  refused. -/
  audience : Option String := none
  deriving Inhabited

/-- Who says what the clients of a hub may do. -/
inductive Access where
  /-- Everybody may subscribe to every channel, read its history and see who is on it; nobody may
  publish. -/
  | everybody
  /-- The program is asked (`Router.authorize`). -/
  | program
  /-- JSON Web Tokens say so, in the lists `subscribe`, `publish`, `history` and `presence` of their
  claim `lithe`. -/
  | jwt (options : JwtOptions)
  deriving Inhabited

/-- How a hub is served below a path. Times are in milliseconds. -/
structure MountOptions where
  /-- Who says what clients may do. -/
  access : Access := .everybody
  /-- How long the program may take to answer a question; then the client is refused, and may try
  again. Default: 5 s. Cannot be off. -/
  authorizeTimeoutMs : Setting := .default
  /-- The pages that may connect, as a browser names them, or `*` for all. Default: pages from the
  server's own host. -/
  origins : List String := []
  /-- The cookie that may hold a token. Default: `lithe_token`. -/
  cookie : Option String := none
  /-- How many channels and patterns a client may be subscribed to. Default, and the most: 256. -/
  maxChannels : Setting := .default
  /-- How many clients there may be. Default: no limit but the server's. -/
  maxConnections : Setting := .default
  /-- About how many bytes are on their way to a client at a time. Default: 64 KiB. Cannot be
  off. -/
  maxInFlightBytes : Setting := .default
  /-- After how long without an event a comment is sent on an event stream. Default: 15 s. -/
  keepAliveMs : Setting := .default
  /-- How long clients wait at most before they reconnect. Default: 3 s. Cannot be off. -/
  retryMs : Setting := .default
  deriving Inhabited

namespace FFI

/-- A choice of which the library knows the first by default. -/
private def Fields.choice (fields : Fields) (name : String) (number : Nat) : Fields :=
  if number == 0 then fields else fields.push (name, toString (number + 1))

end FFI

open FFI

/-- The options by the names of the library. -/
def ChannelOptions.fields (options : ChannelOptions) : IO Fields := do
  let fields := Fields.text? #[] "pattern" options.pattern
  let fields := fields.choice "overflow" options.overflow.ctorIdx
  let fields := fields.choice "after_gap" options.afterGap.ctorIdx
  let fields := match options.presence with
    | .off => fields
    | .listed => fields.push ("presence", "1")
    | .announced => fields.push ("presence", "2")
  let fields ← fields.setting "history_size" options.historySize
  let fields ← fields.setting "history_age_ms" options.historyAgeMs
  let fields ← fields.setting "backlog" options.backlog
  let fields ← fields.setting "min_interval_ms" options.minIntervalMs
  let fields ← fields.setting "idempotency_keys" options.idempotencyKeys
  fields.setting "idempotency_age_ms" options.idempotencyAgeMs

/-- The options by the names of the library, but for the namespaces. -/
def HubOptions.fields (options : HubOptions) : IO Fields := do
  let fields := Fields.text? #[] "redis_url" options.redisUrl
  let fields := fields.text? "redis_prefix" options.redisPrefix
  let fields := fields.text? "redis_sentinel" options.redisSentinel
  let fields := fields.switch "redis_cluster" options.redisCluster
  let fields ← fields.setting "history_budget_bytes" options.historyBudgetBytes
  let fields ← fields.setting "replay_limit" options.replayLimit
  let fields ← fields.setting "replay_limit_bytes" options.replayLimitBytes
  let fields ← fields.setting "max_pattern_channels" options.maxPatternChannels
  fields.setting "publish_timeout_ms" options.publishTimeoutMs

/-- The options by the names of the library. -/
def PublishOptions.fields (options : PublishOptions) : Fields :=
  let fields := Fields.text? #[] "name" options.name
  let fields := fields.text? "key" options.key
  fields.text? "idempotency_key" options.idempotencyKey

/-- The options by the names of the library. -/
def SubscribeOptions.fields (options : SubscribeOptions) : Fields :=
  let fields := Fields.text? #[] "cursor" options.cursor
  let fields := fields.choice "format" options.format.ctorIdx
  let fields := fields.choice "after_gap" options.afterGap.ctorIdx
  let fields := fields.switch "ignore_gaps" options.ignoreGaps
  let fields := fields.switch "strict_ids" options.strictIds
  let fields := fields.text? "client" options.client
  fields.text? "info" options.info

/-- The options by the names of the library. -/
def MountOptions.fields (options : MountOptions) : IO Fields := do
  let fields : Fields := match options.access with
    | .everybody => #[("authorize", "1")]
    | .program => #[("authorize", "2")]
    | .jwt jwt =>
      let fields := Fields.text? #[("authorize", "3")] "jwt_algorithm" jwt.algorithm
      let fields := fields.text? "jwt_key" jwt.key
      let fields := fields.text? "jwt_key_file" (jwt.keyFile.map (·.toString))
      let fields := fields.text? "jwt_issuer" jwt.issuer
      fields.text? "jwt_audience" jwt.audience
  let fields := if options.origins.isEmpty then fields
    else fields.push ("origins", ",".intercalate options.origins)
  let fields := fields.text? "cookie" options.cookie
  let fields ← fields.setting "authorize_timeout_ms" options.authorizeTimeoutMs
  let fields ← fields.setting "max_channels" options.maxChannels
  let fields ← fields.setting "max_connections" options.maxConnections
  let fields ← fields.setting "max_in_flight_bytes" options.maxInFlightBytes
  let fields ← fields.setting "keep_alive_ms" options.keepAliveMs
  fields.setting "retry_ms" options.retryMs

end LitheRt
