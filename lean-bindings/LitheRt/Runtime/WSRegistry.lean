import LitheRt.Http.WebSocket.Connection
import Std.Data.HashMap

namespace LitheRt

/-- WebSockets that belong together, such as those of a room. It may be used on any task. Those
whose connection has ended leave it by themselves at the next `broadcast`, or earlier by
`remove`. -/
structure WSRegistry where
  /-- The connections by their numbers. -/
  connections : IO.Ref (Std.HashMap UInt64 WSConnection)

namespace WSRegistry

/-- An empty registry. -/
def new : IO WSRegistry :=
  return { connections := ← IO.mkRef {} }

/-- Adds a connection. -/
def add (registry : WSRegistry) (ws : WSConnection) : IO Unit :=
  registry.connections.modify (·.insert ws.id ws)

/-- Takes a connection out. It stays open. -/
def remove (registry : WSRegistry) (ws : WSConnection) : IO Unit :=
  registry.connections.modify (·.erase ws.id)

/-- The connection with that number, if it is here. -/
def get? (registry : WSRegistry) (id : UInt64) : IO (Option WSConnection) :=
  return (← registry.connections.get)[id]?

/-- All connections, in no particular order. -/
def list (registry : WSRegistry) : IO (Array WSConnection) :=
  return (← registry.connections.get).valuesArray

/-- How many connections there are. -/
def size (registry : WSRegistry) : IO Nat :=
  return (← registry.connections.get).size

/-- Sends a message to all, but for one if given, and says how many have taken it. It is encoded
only once. Whoever has no room in its send queue, because its client is slow, misses it; whose
connection has ended is taken out.

Never blocks. Errors: none that is about a connection. -/
def broadcast (registry : WSRegistry) (message : WSMessage)
    (except : Option WSConnection := none) : IO Nat := do
  let all := (← registry.list).filter fun ws => some ws != except
  let ready ← all.filterM fun ws => match ws.loop? with
    | some loop => return (← loop.deferred.get).isEmpty
    | none => return true
  let ids := ready.map (·.id)
  let results ← plainly do
    match message with
    | .text string => FFI.wsBroadcast ids 1 string.toUTF8
    | .binary bytes => FFI.wsBroadcast ids 2 bytes
  let mut taken := 0
  for id in ids, result in results.data do
    if result == 0 then taken := taken + 1
    else if result != 3 then registry.connections.modify (·.erase id)
  return taken

end WSRegistry

/-- Runs an action while a connection is in a registry. -/
def WSRegistry.during (registry : WSRegistry) (ws : WSConnection)
    (action : ExceptT HttpError IO α) : ExceptT HttpError IO α := do
  registry.add ws
  try action finally registry.remove ws

end LitheRt
