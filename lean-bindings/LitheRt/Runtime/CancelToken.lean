/-!
# Whether to go on
-/

namespace LitheRt

/-- Tells a handler that it shall come to its end: the server is shutting down, its client has gone,
or the program says so. -/
structure CancelToken where
  /-- Set by `cancel`. -/
  flag : IO.Ref Bool
  /-- Set when the server shuts down. -/
  shutdown : IO.Ref Bool
  /-- Waits for the end of the connection, for so many milliseconds at most, and says whether it
  has come. There is none before the request is answered. -/
  connection : IO.Ref (Option (UInt32 → IO Bool))

namespace CancelToken

/-- A token that only `cancel` sets. -/
def new : IO CancelToken :=
  return { flag := ← IO.mkRef false, shutdown := ← IO.mkRef false, connection := ← IO.mkRef none }

/-- Sets the token. -/
def cancel (token : CancelToken) : IO Unit :=
  token.flag.set true

private def isSet (token : CancelToken) : IO Bool :=
  token.flag.get <||> token.shutdown.get

/-- Whether to come to an end. Never blocks. -/
def isCanceled (token : CancelToken) : IO Bool := do
  if ← token.isSet then return true
  match ← token.connection.get with
  | some wait => wait 0
  | none => return false

/-- How long a sleeper takes at most to see that the token was set, in milliseconds: without a
connection, and with one, which ends when the server shuts down, so that `cancel` alone is late. -/
private def tickMs : Nat × Nat := (50, 500)

/-- Sleeps for so many milliseconds, or until the token is set, and says whether it is. When the
connection ends it wakes at once; before the request is answered it takes 50 ms at most to see that
the server shuts down, and after `cancel` half a second. Blocks. -/
partial def sleep (token : CancelToken) (ms : Nat) : IO Bool := do
  let until_ := (← IO.monoMsNow) + ms
  let rec go : IO Bool := do
    if ← token.isSet then return true
    let now ← IO.monoMsNow
    if until_ ≤ now then return ← token.isCanceled
    match ← token.connection.get with
    | some wait => if ← wait (min (until_ - now) tickMs.2).toUInt32 then return true
    | none => IO.sleep (min (until_ - now) tickMs.1).toUInt32
    go
  go

end CancelToken

end LitheRt
