import Tests.Frame
import Tests.Hub
import Tests.Options
import Tests.Router
import Tests.SSE
import Tests.SSEAgreement
import Tests.Server

/-- The tests that run; the others are checked when they are compiled. -/
def tests : List (String × IO Unit) := [
  ("events are written as the server writes them", SSEAgreement.run),
  ("mistakes are told in words", ServerTests.mistakes),
  ("options have the names of the library", OptionsTests.names),
  ("bodies come as a whole or in pieces", OptionsTests.bodies),
  ("requests are answered", ServerTests.answers),
  ("too many requests at a time are refused", ServerTests.refusals),
  ("event streams live as long as their clients", ServerTests.eventStreams),
  ("WebSockets have handlers that block", ServerTests.webSockets),
  ("WebSockets share an event loop", ServerTests.eventLoop),
  ("a peer that does not read is left alone", ServerTests.slowPeer),
  ("a peer that does not read may be thrown out", ServerTests.slowPeerThrows),
  ("a peer that does not read may be closed wrongly", ServerTests.slowPeerIsClosedWrongly),
  ("the end of a WebSocket is told anywhere", ServerTests.endedElsewhere),
  ("a shutdown wakes all", ServerTests.shutdown),
  ("publications have a history", HubTests.publications),
  ("subscribers get what is published", HubTests.subscriptions),
  ("the program says who may do what", HubTests.access)
]

/-- Runs all tests, or those whose name has the argument in it. -/
def main (args : List String) : IO UInt32 := do
  let chosen := tests.filter fun (name, _) => args.all fun arg => (name.splitOn arg).length > 1
  let mut failed : UInt32 := 0
  for (name, test) in chosen do
    match ← test.toBaseIO with
    | .ok () => IO.println s!"ok      {name}"
    | .error error =>
      failed := failed + 1
      IO.println s!"FAILED  {name}: {error}"
    (← IO.getStdout).flush
  IO.println s!"{chosen.length - failed.toNat} of {chosen.length} tests have passed"
  return if failed == 0 then 0 else 1
