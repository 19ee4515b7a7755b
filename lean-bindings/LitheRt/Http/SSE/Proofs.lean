import LitheRt.Http.SSE.Proofs.Format

/-!
# What is proved about events

About the very functions that run, `SSEEvent.format` and `SSEEvent.parse`:

* no field breaks out of its line: `format_lines`, `exists_field_of_mem_lines`,
  `format_blank_lines`
* reading what was written gives the event back: `parse_format`, `parse_append`, `parse_join`
* a page sees what the fields say, and nothing else: `receive_format`
* nothing that can be written is refused: `check_eq_ok`

`Tests/SSEAxioms.lean` lists the axioms that they rest on, which are Lean's own.
-/

namespace LitheRt

namespace SSEEvent

open SSE

/-- The lines of a formatted event, as a client cuts them (at CRLF, LF and CR), are the lines of
its fields and then a blank one, whatever the fields hold. -/
theorem format_lines (event : SSEEvent) : streamLines event.format = event.lines ++ [""] := by
  simpa [String.join] using streamLines_join_format [event]

/-- Only the line at the end of a formatted event is blank: an event cannot end early. -/
theorem format_blank_lines (event : SSEEvent) : (streamLines event.format).count "" = 1 := by
  have : event.lines.count "" = 0 :=
    List.count_eq_zero.mpr fun h => ne_empty_of_mem_lines h rfl
  simp [format_lines, this]

/-- Reading any number of formatted events, one behind the other, gives the fields of each. In the
data and the comments a CRLF or CR has become an LF. -/
theorem parse_join (events : List SSEEvent) :
    parse (String.join (events.map format)) = events.map (·.toFields.normalized) := by
  have drop : dropByteOrderMark (events.flatMap (·.lines ++ [""])) =
      events.flatMap (·.lines ++ [""]) := by
    cases events with
    | nil => rfl
    | cons event events => simp [dropByteOrderMark_lines]
  have := foldl_step_flatMap_lines events #[]
  simp_all [parse, streamLines_join_format]

/-- Reading a formatted event gives its fields back. In the data and the comment a CRLF or CR has
become an LF. -/
theorem parse_format (event : SSEEvent) : parse event.format = [event.toFields.normalized] := by
  simpa [String.join] using parse_join [event]

/-- What one event holds has no effect on how the next one is read. -/
theorem parse_append (a b : SSEEvent) :
    parse (a.format ++ b.format) = parse a.format ++ parse b.format := by
  simpa [String.join, parse_format] using parse_join [a, b]

/-- What a page gets of a formatted event: nothing when it has no data; else one message with that
data, its type, which is `message` when there is none or it is empty, and its identifier. -/
theorem receive_format (event : SSEEvent) :
    SSEMessage.receive event.format =
      match event.data with
      | none => []
      | some data =>
        let type := event.event?.getD ""
        [{ event := if type = "" then "message" else type
           data := normalizeLineEnds data
           lastEventId := event.id?.getD "" }] := by
  simp only [SSEMessage.receive, parse_format, SSEMessage.dispatch, Fields.normalized]
  cases event.data <;> rfl

/-- Events that look the same on the wire are the same to a client. -/
theorem normalized_eq_of_format_eq {a b : SSEEvent} (h : a.format = b.format) :
    a.toFields.normalized = b.toFields.normalized := by
  simpa [parse_format] using congrArg parse h

/-- Without a CR in the data and the comment the fields come back as they were. -/
theorem Fields.normalized_eq_self {fields : Fields}
    (hd : ∀ text ∈ fields.data, '\r' ∉ text.toList)
    (hc : ∀ text ∈ fields.comment?, '\r' ∉ text.toList) : fields.normalized = fields := by
  have map (text? : Option String) (h : ∀ text ∈ text?, '\r' ∉ text.toList) :
      text?.map normalizeLineEnds = text? := by
    cases text? with
    | none => rfl
    | some text => simp [normalizeLineEnds_eq_self (h text rfl)]
  simp [normalized, map fields.data hd, map fields.comment? hc]

/-- `check` refuses only what cannot be written, and changes nothing. -/
theorem check_eq_ok (fields : Fields) (valid : fields.Valid) :
    check fields = .ok (ofFields fields valid) := by
  have := Fields.error?_eq_none.mpr valid
  unfold check
  split <;> simp_all

end SSEEvent

end LitheRt
