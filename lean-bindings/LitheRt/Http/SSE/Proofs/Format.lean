import LitheRt.Http.SSE.Format
import LitheRt.Http.SSE.Proofs.Line
import LitheRt.Http.SSE.Proofs.Parse

/-!
# Proofs about the wire format

What `LitheRt.Http.SSE.Proofs` needs of the lines that events take.
-/

namespace LitheRt.SSEEvent

open SSE

theorem foldl_step_comment (texts : List String) (reader : Reader) :
    (lines.each ": " texts).foldl Reader.step reader =
      { reader with fields := { reader.fields with
          comment? := texts.foldl addLine reader.fields.comment? } } := by
  induction texts generalizing reader with
  | nil => rfl
  | cons text texts ih =>
    simp only [lines.each] at ih
    simp [lines.each, Reader.step_append, processLine_comment, ih]

theorem foldl_step_data (texts : List String) (reader : Reader) :
    (lines.each "data: " texts).foldl Reader.step reader =
      { reader with fields := { reader.fields with
          data := texts.foldl addLine reader.fields.data } } := by
  induction texts generalizing reader with
  | nil => rfl
  | cons text texts ih =>
    simp only [lines.each] at ih
    simp [lines.each, Reader.step_append, processLine_data, ih]

theorem foldl_step_lines (event : SSEEvent) (events : Array Fields) :
    event.lines.foldl Reader.step { events } = { events, fields := event.toFields.normalized } := by
  obtain ⟨⟨data, id?, event?, retryMs?, comment?⟩, valid⟩ := event
  have addLines (text? : Option String) :
      (text?.elim [] textLines).foldl addLine none = text?.map normalizeLineEnds := by
    cases text? <;> simp [foldl_addLine_textLines]
  simp only [lines, List.foldl_append, foldl_step_comment, foldl_step_data, addLines]
  cases id? <;> cases event? <;> cases retryMs? <;>
    simp_all [lines.each, Reader.step_append, processLine_event, processLine_id, processLine_retry,
      Fields.normalized, Fields.Valid]

theorem exists_field_of_mem_lines {event : SSEEvent} {line : String} (h : line ∈ event.lines) :
    ∃ field ∈ fieldStarts, ∃ value, line = field ++ value := by
  simp only [lines, lines.each, List.mem_append, List.mem_map] at h
  rcases h with (((⟨value, -, rfl⟩ | ⟨value, -, rfl⟩) | ⟨value, -, rfl⟩) | ⟨value, -, rfl⟩) |
    ⟨value, -, rfl⟩ <;>
  exact ⟨_, by simp [fieldStarts], value, rfl⟩

theorem ne_empty_of_mem_lines {event : SSEEvent} {line : String} (h : line ∈ event.lines) :
    line ≠ "" := by
  obtain ⟨field, hf, value, rfl⟩ := exists_field_of_mem_lines h
  simp only [fieldStarts, List.mem_cons, List.not_mem_nil, or_false] at hf
  rcases hf with rfl | rfl | rfl | rfl | rfl <;> simp

theorem noLineEnd_of_mem_elim {text? : Option String} {line : String}
    (h : line ∈ text?.elim [] textLines) : NoLineEnd line := by
  cases text? with
  | none => simp at h
  | some text => exact noLineEnd_of_mem_textLines h

theorem noLineEnd_of_mem_lines {event : SSEEvent} {line : String} (h : line ∈ event.lines) :
    NoLineEnd line := by
  have hv := event.valid
  simp only [lines, lines.each, List.mem_append, List.mem_map, Option.mem_toList] at h
  rcases h with (((⟨value, h, rfl⟩ | ⟨value, h, rfl⟩) | ⟨value, h, rfl⟩) | ⟨value, h, rfl⟩) |
    ⟨value, h, rfl⟩ <;>
  refine noLineEnd_append (by unfold NoLineEnd; decide) ?_
  · exact noLineEnd_of_mem_elim h
  · exact noLineEnd_of_mem_elim h
  · exact noLineEnd_of_isLine (by simpa [h] using hv.2)
  · exact noLineEnd_of_isLine (by simpa [h] using hv.1)
  · obtain ⟨ms, -, rfl⟩ := Option.map_eq_some_iff.mp h
    exact noLineEnd_of_isLine (isLine_toString_nat ms)

theorem format_toList (event : SSEEvent) :
    event.format.toList = unlines (event.lines ++ [""]) := by
  have foldl (lines : List String) (out : String) :
      (lines.foldl (fun out line => (out ++ line).push '\n') out).toList =
        out.toList ++ unlines lines := by
    induction lines generalizing out with
    | nil => simp [unlines]
    | cons line lines ih => simp [ih, unlines]
  simp [format, foldl, unlines]

theorem streamLines_format_append (event : SSEEvent) (rest : String) :
    streamLines (event.format ++ rest) = event.lines ++ [""] ++ streamLines rest := by
  have h : ∀ line ∈ event.lines ++ [""], NoLineEnd line := by
    intro line hl
    rcases List.mem_append.mp hl with hl | hl
    · exact noLineEnd_of_mem_lines hl
    · simp_all [NoLineEnd]
  simp only [streamLines, split_eq, String.toList_append, List.foldl_append, format_toList]
  rw [foldl_step_unlines _ h]
  have := foldl_step_ended rest.toList ((event.lines ++ [""]).toArray) #[] "" false
  simp_all

theorem join_cons (text : String) (texts : List String) :
    String.join (text :: texts) = text ++ String.join texts := by
  have foldl (texts : List String) (out : String) :
      texts.foldl (· ++ ·) out = out ++ texts.foldl (· ++ ·) "" := by
    induction texts generalizing out with
    | nil => simp
    | cons text texts ih =>
      simp only [List.foldl_cons]
      rw [ih (out ++ text), ih ("" ++ text)]
      simp [String.append_assoc]
  simp only [String.join, List.foldl_cons]
  rw [foldl]
  simp

theorem streamLines_join_format (events : List SSEEvent) :
    streamLines (String.join (events.map format)) = events.flatMap (·.lines ++ [""]) := by
  induction events with
  | nil => simp [streamLines, split_eq, String.join]
  | cons event events ih => simp [join_cons, streamLines_format_append, ih]

theorem dropByteOrderMark_lines (event : SSEEvent) (rest : List String) :
    dropByteOrderMark (event.lines ++ "" :: rest) = event.lines ++ "" :: rest := by
  cases h : event.lines with
  | nil => simp [dropByteOrderMark]
  | cons line others =>
    obtain ⟨field, hf, value, rfl⟩ := exists_field_of_mem_lines (event := event) (line := line)
      (by simp [h])
    simp only [fieldStarts, List.mem_cons, List.not_mem_nil, or_false] at hf
    simp only [List.cons_append, dropByteOrderMark]
    rcases hf with rfl | rfl | rfl | rfl | rfl <;> rw [String.toList_append] <;> rfl

theorem foldl_step_flatMap_lines (events : List SSEEvent) (before : Array Fields) :
    (events.flatMap (·.lines ++ [""])).foldl Reader.step { events := before } =
      { events := before ++ (events.map (·.toFields.normalized)).toArray } := by
  induction events generalizing before with
  | nil => simp
  | cons event events ih =>
    simp only [List.flatMap_cons, List.foldl_append, foldl_step_lines]
    simp [Reader.step, ih]

end LitheRt.SSEEvent
