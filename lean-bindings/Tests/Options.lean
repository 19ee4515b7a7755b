import LitheRt
import Tests.Check
import Tests.Client
import Tests.Server

/-!
Every option by its name in the library.
-/

open LitheRt

namespace OptionsTests

/-- Sets options, and says how many. -/
def set (kind : FFI.OptionsKind) (fields : FFI.Fields) : IO Nat :=
  FFI.withOptions kind fields fun _ => return fields.size

def names : IO Unit := do
  let server : ServerConfig := {
    staticDir := some ".", tlsCertFile := some "a", tlsKeyFile := some "b", metricsPath := some "/m"
    workers := 1, maxConnections := 2, maxConnectionsPerIp := 3, maxWaitingRequests := 4
    maxHeaderBytes := 5, maxBodyBytes := .off, handshakeTimeoutMs := 6, headerTimeoutMs := 7
    bodyTimeoutMs := 8, requestTimeoutMs := 9, idleTimeoutMs := 10, writeTimeoutMs := 11
    streamBodies := true, reconnectMs := 12
  }
  expect "servers" (← set .server (← server.fields)) 19
  let ws : WSOptions := {
    protocols := ["a", "b"], origins := ["*"], maxMessageBytes := 1, sendQueueBytes := 2
    receiveQueueBytes := 3, maxMessagesPerSecond := .off, pingIntervalMs := .off
    peerTimeoutMs := 4, idleTimeoutMs := 5, closeTimeoutMs := 6, compression := true
  }
  expect "WebSockets" (← set .ws (← ws.fields)) 11
  let hub : HubOptions := {
    historyBudgetBytes := 1, replayLimit := 2, replayLimitBytes := 3, maxPatternChannels := 4
    redisUrl := some "redis://x", redisPrefix := some "p", redisSentinel := some "s"
    redisCluster := true, publishTimeoutMs := 5
  }
  expect "hubs" (← set .hub (← hub.fields)) 9
  for overflow in [Overflow.latest, .dropOldest, .disconnect] do
    let channel : ChannelOptions := {
      pattern := some "a.*", historySize := 1, historyAgeMs := .off, backlog := 2, overflow
      afterGap := .oldest, minIntervalMs := 3, presence := .announced, idempotencyKeys := 4
      idempotencyAgeMs := 5
    }
    expect "channels" (← set .channel (← channel.fields)) 10
  let publish : PublishOptions := { name := some "n", key := some "k", idempotencyKey := some "i" }
  expect "publications" (← set .publish publish.fields) 3
  let subscribe : SubscribeOptions := {
    cursor := some "c", format := .json, afterGap := .oldest, ignoreGaps := true, strictIds := true
    client := some "c", info := some "i"
  }
  expect "subscriptions" (← set .subscribe subscribe.fields) 7
  let jwt : JwtOptions := {
    algorithm := some "HS256", key := some "secret", keyFile := some "f", issuer := some "i"
    audience := some "a"
  }
  let mount : MountOptions := {
    access := .jwt jwt, authorizeTimeoutMs := 1, origins := ["*"], cookie := some "c"
    maxChannels := 2, maxConnections := 3, maxInFlightBytes := 4, keepAliveMs := .off, retryMs := 5
  }
  expect "mounts" (← set .mount (← mount.fields)) 14

/-- Each way to read the body, of which the program sees the pieces. -/
def bodies : IO Unit := do
  let body := String.ofList (List.replicate 200000 'x')
  let router := Router.new.post "/" fun ctx => do
    let some stream := ctx.req.bodyStream | return .text s!"whole: {ctx.req.body.size}"
    let mut size := 0
    repeat
      let some piece ← stream.next | break
      size := size + piece.size
    return .text s!"pieces: {size}"
  for (streamBodies, answer) in [(false, "whole: 200000"), (true, "pieces: 200000")] do
    ServerTests.withServer router (config := { streamBodies }) fun server errors => do
      expectIn "a body" (← Client.fetch server.port "POST /" [] body) answer
      expect "errors" (← errors.get) #[]
  ServerTests.withServer router (config := { maxBodyBytes := 1000 }) fun server _ => do
    expectIn "a body that is too large" (← Client.fetch server.port "POST /" [] body) " 413 "

end OptionsTests
