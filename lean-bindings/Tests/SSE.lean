import LitheRt.Http.SSE.Format
import LitheRt.Http.SSE.Parse

/-!
Writing and reading events, case by case. They are checked when this file is compiled. That reading
gives back what was written is proved, in `LitheRt.Http.SSE.Proofs`; the cases hold the definitions
to the specification's examples and to the server's own encoder.
-/

open LitheRt

/-! The lines of a text. -/

#guard SSE.textLines "" = [""]
#guard SSE.textLines "a" = ["a"]
#guard SSE.textLines "a\n" = ["a", ""]
#guard SSE.textLines "a\r\nb\nc\rd\n\re\r\r\n" = ["a", "b", "c", "d", "", "e", "", ""]
#guard SSE.streamLines "a\r\nb" = ["a"]
#guard SSE.textLines "é\n→\u2028😀" = ["é", "→\u2028😀"]

/-! The order and the form of fields. -/

#guard SSEEvent.format {} = "\n"
#guard (SSEEvent.mk "").format = "data: \n\n"
#guard (SSEEvent.mk "42 %" "7" "progress").format = "data: 42 %\nevent: progress\nid: 7\n\n"
#guard (SSEEvent.mk "two\r\n lines").format = "data: two\ndata:  lines\n\n"
#guard (SSEEvent.comment "ready\nsteady").format = ": ready\n: steady\n\n"
#guard SSEEvent.format { id? := "" } = "id: \n\n"
#guard SSEEvent.format
    { data := "a", event? := "b", id? := "c", retryMs? := some 1000, comment? := "d" } =
  ": d\ndata: a\nevent: b\nid: c\nretry: 1000\n\n"
#guard SSEEvent.format { retryMs? := some 18446744073709551615 } =
  "retry: 18446744073709551615\n\n"
#guard (SSEEvent.mk "x\nid: 1\nevent: evil\nretry: 0\n\ndata: y\r\rdata: z").format =
  "data: x\ndata: id: 1\ndata: event: evil\ndata: retry: 0\ndata: \ndata: data: y\ndata: \n\
    data: data: z\n\n"
#guard (SSEEvent.mk "→").toBytes.toList = [100, 97, 116, 97, 58, 32, 0xE2, 0x86, 0x92, 10, 10]

/-! What cannot be on one line. -/

/-- The words of a refusal; `none` for an event. -/
def refusal (fields : SSEEvent.Fields) : Option String :=
  match SSEEvent.check fields with
  | .ok _ => none
  | .error error => toString error

#guard refusal { data := "x\ny", id? := "7", event? := "a b: c", comment? := "\x00\r" } = none
#guard refusal { id? := "a\ndata: b" } =
  "\"id\" of an event cannot hold '\\n'; escape it or leave it out"
#guard refusal { event? := "a\rdata: b" } =
  "\"event\" of an event cannot hold '\\r'; escape it or leave it out"
#guard refusal { event? := "a\x00", id? := "\n" } =
  "\"event\" of an event cannot hold '\\0'; escape it or leave it out"

/-- error: could not synthesize default value for field 'valid' of 'LitheRt.SSEEvent' using tactics
---
error: `id?` and `event?` of an event hold no CR, LF or NUL. Lean sees that of literals and numbers; values that are known at run time only go through `SSEEvent.check`.
⊢ { id? := some "a\nb" }.Valid
-/
#guard_msgs in
example : SSEEvent := { id? := "a\nb" }

/-- What Lean sees by itself. -/
example (epoch n : Nat) (name : String) (h : SSE.isLine name) (sent : SSEEvent) : List SSEEvent :=
  [{ id? := toString n }, { id? := s!"{epoch}-{n}", event? := "tick" },
    { id? := toString n.toUInt64, event? := "on " ++ name }, .mk "data" (event? := name),
    { sent with data := "again" }]

/-! The examples of WHATWG HTML, §9.2.6, and what else the specification asks of a client. -/

/-- A message without a name or identifier. -/
def message (data : String) : SSEMessage := { data }

#guard SSEMessage.receive "data: YHOO\ndata: +2\ndata: 10\n\n" = [message "YHOO\n+2\n10"]
#guard SSEMessage.receive
    ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n" =
  [{ data := "first event", lastEventId := "1" }, message "second event", message " third event"]
#guard SSEMessage.receive "data\n\ndata\ndata\n\ndata:" = [message "", message "\n"]
#guard SSEMessage.receive "data:test\n\ndata: test\n\n" = [message "test", message "test"]
#guard SSEMessage.receive "\uFEFFdata: a\r\rdata: b\r\n\r\n" = [message "a", message "b"]
#guard SSEMessage.receive "\uFEFF\uFEFFdata: a\n\n" = []
#guard SSEMessage.receive "data: a\n\n\uFEFFdata: b\n\n" = [message "a"]
#guard SSEMessage.receive "id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\nevent: x\nevent\n\n" =
  [{ data := "a", lastEventId := "1" }, { data := "b", lastEventId := "1" },
    { data := "c", lastEventId := "2" }]
#guard SSEMessage.receive "event: a\x00b\nid: 1\x00\ndata: c\n\n" =
  [{ event := "a\x00b", data := "c" }]
#guard SSEMessage.receive "Data: a\n data: b\ndata : c\ndatum\ndata: d:e\n\n" = [message "d:e"]
#guard SSEEvent.parse "retry: 12\nretry: 1x\nretry:\nretry: -1\n\n" = [{ retryMs? := some 12 }]
#guard SSEEvent.parse ":a\n: b\n:  c\n\n" = [{ comment? := "a\nb\n c" }]
#guard SSEEvent.parse "\n\r\n\r" = [{}, {}, {}]
#guard SSEEvent.parse "data: a\n" = []
