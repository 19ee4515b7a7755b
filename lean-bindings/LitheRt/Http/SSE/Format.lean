import LitheRt.Http.SSE.Event

/-!
# Writing events

The wire format of events (WHATWG HTML, §9.2.5), byte for byte as the server itself writes them.
What is proved about it is in `LitheRt.Http.SSE.Proofs`.
-/

namespace LitheRt.SSEEvent

/-- The lines that an event's fields take, in the order in which they go over the wire, without
their ends. Data and a comment take a line for each of theirs. -/
def lines (event : SSEEvent) : List String :=
  each ": " (event.comment?.elim [] SSE.textLines) ++
  each "data: " (event.data.elim [] SSE.textLines) ++
  each "event: " event.event?.toList ++
  each "id: " event.id?.toList ++
  each "retry: " (event.retryMs?.map toString).toList
where
  /-- Each value with the name of its field before it. -/
  each (field : String) (values : List String) : List String :=
    values.map (field ++ ·)

/-- What the lines of an event begin with: the names of fields, and a colon for a comment. -/
def fieldStarts : List String :=
  [": ", "data: ", "event: ", "id: ", "retry: "]

/-- The event as it goes over the wire: each of its lines, and the blank line that ends it. -/
def format (event : SSEEvent) : String :=
  (event.lines.foldl (fun out line => (out ++ line).push '\n') "").push '\n'

/-- The event as it goes over the wire, in UTF-8. -/
def toBytes (event : SSEEvent) : ByteArray :=
  event.format.toUTF8

end LitheRt.SSEEvent
