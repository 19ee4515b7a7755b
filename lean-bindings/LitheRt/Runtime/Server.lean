import LitheRt.Runtime.EventLoop
import LitheRt.Runtime.Stats

namespace LitheRt

/-- A server that runs. -/
structure Server where
  /-- The port that it listens on. -/
  port : UInt16
  /-- The address that it listens on, with its port, such as `127.0.0.1:8080`. -/
  address : String
  /-- What its tasks share. -/
  shared : EventLoop.Shared

namespace Server

/-- Starts a server: when this returns, it is listening. It runs until `shutdown`, on a dedicated
task, on which the callbacks of `WSEvents` are called; each request gets another one for its
handler. They keep the process alive, so a program that is to end calls `shutdown` before `main`
returns.

Errors: when a setting or pattern makes no sense, the address cannot be listened on, or a file of
the configuration cannot be read. Blocks for as long as the system takes to start threads. -/
def start (config : ServerConfig := {}) (router : Router) : IO Server := plainly do
  if let some words := router.error? then throw (.userError words)
  for route in router.routes do route.check
  let handle ← FFI.withOptions .server (← config.fields) FFI.serverStart
  try
    for mount in router.mounts do
      FFI.withOptions .mount (← mount.fields) (FFI.serverMount handle mount.hub mount.path)
    let shared : EventLoop.Shared := {
      server := handle
      config
      router
      shutdown := ← IO.mkRef false
      threads := ← Std.Mutex.new {}
      changed := ← Std.Condvar.new
    }
    let server : Server := {
      port := (← FFI.serverPort handle).toUInt16
      address := ← FFI.serverAddress handle
      shared
    }
    discard <| IO.asTask (prio := .dedicated) do
      shared.onThread (EventLoop.run shared)
      shared.update fun t => { t with loopEnded := true }
    return server
  catch error =>
    FFI.serverFree handle
    throw error

/-- All that the server has counted, as Prometheus reads it. Never blocks. Errors: when it was shut
down. -/
def metrics (server : Server) : IO String :=
  plainly (FFI.serverMetrics server.shared.server)

/-- What the server has counted since it was started, and what there is at present. Never blocks.
Errors: when it was shut down. -/
def stats (server : Server) : IO ServerStats :=
  plainly do return .ofCounters (← FFI.serverStats server.shared.server)

/-- Waits until the server was shut down. Blocks. -/
def wait (server : Server) : IO Unit :=
  server.shared.await (·.stopped)

/-- Parts from the clients, ends all that runs, and frees the server. -/
private def stop (server : Server) (drainMs : UInt32) : IO Unit := do
  let shared := server.shared
  shared.shutdown.set true
  let orReport (action : IO Unit) : IO Unit := do
    try action catch error => shared.report error
  orReport (discard <| FFI.serverDrain shared.server drainMs)
  orReport (FFI.serverStop shared.server)
  shared.await fun t => t.loopEnded && t.handlers == 0
  orReport (FFI.serverFree shared.server)
  shared.update ({ · with stopped := true })

/-- Shuts the server down: takes no new connections, ends event streams, closes WebSockets with
1001, and waits for `drainMs` milliseconds at most for the clients and handlers to be done; then it
cuts the rest. Whoever is blocked on a connection of the server is woken, and all tokens are set.

Blocks until all handlers have returned. Called by one of them, or within an event loop, it returns
at once, and what it does goes on. Another call waits for the first. -/
def shutdown (server : Server) (drainMs : Nat := 5000) : IO Unit := do
  let drainMs := (min drainMs 0x7FFFFFFF).toUInt32
  let shared := server.shared
  let (first, inside) ← do
    let id ← IO.getTID
    shared.threads.atomically do
      let threads ← get
      set { threads with stopping := true }
      return (!threads.stopping, threads.ids.contains id)
  if first then
    if inside then discard <| IO.asTask (prio := .dedicated) (server.stop drainMs)
    else server.stop drainMs
  else unless inside do server.wait

/-- How long it takes at most until an interrupt is seen, in milliseconds. -/
private def interruptTickMs : UInt32 := 50

/-- Waits until the process is asked to end, by Ctrl-C (SIGINT) or SIGTERM, or the server was shut down.
From the call on each of these signals is caught for one time: another one ends the process at once.
Blocks. -/
partial def waitForInterrupt (server : Server) : IO Unit := do
  FFI.interruptWatch
  let rec go : IO Unit := do
    if ← FFI.interrupted then return
    if ← server.shared.threads.atomically (return (← get).stopped) then return
    IO.sleep interruptTickMs
    go
  go

/-- Starts a server, and shuts it down when the process is asked to end (`waitForInterrupt`), for
programs that do nothing else. Blocks until it was shut down. Errors: those of `start`. -/
def serve (config : ServerConfig := {}) (router : Router) (drainMs : Nat := 5000) : IO Unit := do
  let server ← start config router
  server.waitForInterrupt
  server.shutdown drainMs

end Server

end LitheRt
