import LitheRt.Http.SSE.Event

/-!
# Reading events

What a client makes of an event stream (WHATWG HTML, §9.2.6): `SSEEvent.parse` gives the fields of
each event, `SSEMessage.receive` what a page gets to see of them.
-/

namespace LitheRt

namespace SSE

/-- Adds a line to a text that may have none yet. -/
def addLine (text? : Option String) (line : String) : Option String :=
  match text? with
  | none => line
  | some text => text ++ "\n" ++ line

/-- The number that ASCII digits stand for; `none` if there are none or something else is among
them. -/
def number? (digits : String) : Option Nat :=
  let digits := digits.toList
  if !digits.isEmpty && digits.all Char.isDigit then
    some (digits.foldl (fun n digit => 10 * n + (digit.toNat - '0'.toNat)) 0)
  else
    none

/-- What stands before the first colon of a line, and what stands after it and one space. Without a
colon all of the line is the name of a field. -/
def nameAndValue (line : String) : String × String :=
  let value := match line.toList.dropWhile (· ≠ ':') with
    | ':' :: ' ' :: value => value
    | ':' :: value => value
    | _ => []
  (.ofList (line.toList.takeWhile (· ≠ ':')), .ofList value)

/-- Processes a line that is not blank. -/
def processLine (fields : SSEEvent.Fields) (line : String) : SSEEvent.Fields :=
  match nameAndValue line with
  | ("", text) => { fields with comment? := addLine fields.comment? text }
  | ("data", text) => { fields with data := addLine fields.data text }
  | ("event", name) => { fields with event? := name }
  | ("id", id) => if id.toList.contains '\x00' then fields else { fields with id? := id }
  | ("retry", ms) => { fields with retryMs? := (number? ms).or fields.retryMs? }
  | _ => fields

/-- What was read of a stream: the events that have ended, and the fields of the one that has
not. -/
structure Reader where
  /-- The events that a blank line has ended. -/
  events : Array SSEEvent.Fields := #[]
  /-- The fields since then. -/
  fields : SSEEvent.Fields := {}

/-- Reads the next line. A blank one ends the event. -/
def Reader.step (reader : Reader) (line : String) : Reader :=
  if line = "" then
    { events := reader.events.push reader.fields }
  else
    { reader with fields := processLine reader.fields line }

/-- Drops the byte order mark that the first line of a stream may begin with. -/
def dropByteOrderMark : List String → List String
  | [] => []
  | first :: rest =>
    match first.toList with
    | '\uFEFF' :: first => .ofList first :: rest
    | _ => first :: rest

end SSE

/-- The events of a stream: the fields between each blank line and the one before. As a client does
it, it ends lines at CRLF, LF and CR, drops a byte order mark at the start, ignores fields that it
does not know, lets the last of several fields count, joins the lines of data by LF, and drops what
comes after the last blank line. It keeps the comments. -/
def SSEEvent.parse (stream : String) : List SSEEvent.Fields :=
  ((SSE.dropByteOrderMark (SSE.streamLines stream)).foldl SSE.Reader.step {}).events.toList

namespace SSE

/-- The text with each CRLF and CR in it as one LF. -/
def normalizeLineEnds (text : String) : String :=
  .ofList (go text.toList)
where
  /-- The same for a list of characters. -/
  go : List Char → List Char
    | [] => []
    | '\r' :: '\n' :: cs => '\n' :: go cs
    | '\r' :: cs => '\n' :: go cs
    | c :: cs => c :: go cs

end SSE

/-- The fields as a client receives them: with each CRLF and CR in the data and the comment as one
LF. -/
def SSEEvent.Fields.normalized (fields : Fields) : Fields :=
  { fields with
    data := fields.data.map SSE.normalizeLineEnds
    comment? := fields.comment?.map SSE.normalizeLineEnds }

/-- What an `EventSource` hands to the page. -/
structure SSEMessage where
  /-- The type, by which it picks the listener. -/
  event : String := "message"
  /-- The data. -/
  data : String
  /-- What it sends as `Last-Event-ID` when it reconnects. -/
  lastEventId : String := ""
  deriving DecidableEq, Inhabited, Repr

namespace SSEMessage

/-- What events make a client dispatch when that was the last identifier. -/
def dispatch (lastEventId : String) : List SSEEvent.Fields → List SSEMessage
  | [] => []
  | fields :: rest =>
    let lastEventId := fields.id?.getD lastEventId
    let messages := dispatch lastEventId rest
    match fields.data with
    | none => messages
    | some data =>
      let event := fields.event?.getD ""
      { event := if event = "" then "message" else event, data, lastEventId } :: messages

/-- What a client dispatches of a stream. -/
def receive (stream : String) : List SSEMessage :=
  dispatch "" (SSEEvent.parse stream)

end SSEMessage

end LitheRt
