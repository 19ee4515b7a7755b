import LitheRt.Http.SSE.Parse

/-!
# Proofs about lines

What `LitheRt.Http.SSE.Proofs` needs of cutting text into lines and joining them again.
-/

namespace LitheRt

namespace SSE

/-! ## Cutting -/

theorem foldFrom_eq (f : α → Char → α) (text : String) (position : text.Pos) (init : α)
    {before after : String} (h : position.Splits before after) :
    foldFrom f text position init = after.toList.foldl f init := by
  fun_induction foldFrom generalizing before after with
  | case1 => simp_all
  | case2 p init hp ih =>
    obtain ⟨c, rfl⟩ := h.exists_eq_singleton_append hp
    have := h.eq (p.splits_next_right hp)
    simp at this
    simp [ih h.next, this]

theorem split_eq (text : String) : split text = text.toList.foldl Splitter.step {} :=
  foldFrom_eq _ _ _ _ (String.splits_startPos text)

/-- A text without line ends. -/
def NoLineEnd (text : String) : Prop :=
  ∀ c ∈ text.toList, isLineEnd c = false

theorem foldl_step_of_noLineEnd (cs : List Char) (h : ∀ c ∈ cs, isLineEnd c = false)
    (ended : Array String) (current : String) :
    cs.foldl Splitter.step ⟨ended, current, false⟩ = ⟨ended, current ++ .ofList cs, false⟩ := by
  induction cs generalizing current with
  | nil => simp
  | cons c cs ih =>
    have hc := h c (by simp)
    simp only [isLineEnd, Bool.or_eq_false_iff, decide_eq_false_iff_not] at hc
    simp only [List.foldl_cons, Splitter.step, hc, if_false]
    rw [ih (fun c hc => h c (by simp [hc]))]
    simp [← String.toList_inj]

/-- Each line followed by an LF. -/
def unlines (lines : List String) : List Char :=
  lines.flatMap fun line => line.toList ++ ['\n']

theorem foldl_step_unlines (lines : List String) (h : ∀ line ∈ lines, NoLineEnd line)
    (ended : Array String) :
    (unlines lines).foldl Splitter.step ⟨ended, "", false⟩ =
      ⟨ended ++ lines.toArray, "", false⟩ := by
  induction lines generalizing ended with
  | nil => simp [unlines]
  | cons line lines ih =>
    have ih := ih (fun l hl => h l (by simp [hl]))
    simp only [unlines] at ih
    simp only [unlines, List.flatMap_cons, List.foldl_append,
      foldl_step_of_noLineEnd line.toList (h line (by simp))]
    simp [Splitter.step, ih]

/-- The splitter puts no line end into a line. -/
def Splitter.Clean (splitter : Splitter) : Prop :=
  (∀ line ∈ splitter.ended, NoLineEnd line) ∧ NoLineEnd splitter.current

theorem noLineEnd_empty : NoLineEnd "" := by
  simp [NoLineEnd]

theorem noLineEnd_push {text : String} {c : Char} (h : NoLineEnd text) (hc : isLineEnd c = false) :
    NoLineEnd (text.push c) := by
  intro d hd
  simp only [String.toList_push, List.mem_append, List.mem_singleton] at hd
  rcases hd with hd | rfl
  · exact h d hd
  · exact hc

theorem Splitter.clean_step {splitter : Splitter} (h : splitter.Clean) (c : Char) :
    (splitter.step c).Clean := by
  obtain ⟨ended, current, afterCR⟩ := splitter
  have pushed : ∀ line ∈ ended.push current, NoLineEnd line := by
    intro line hl
    rcases Array.mem_push.mp hl with hl | rfl
    · exact h.1 line hl
    · exact h.2
  simp only [Splitter.step]
  split
  · split
    · exact h
    · exact ⟨pushed, noLineEnd_empty⟩
  · split
    · exact ⟨pushed, noLineEnd_empty⟩
    · exact ⟨h.1, noLineEnd_push h.2 (by simp_all [isLineEnd])⟩

theorem Splitter.clean_foldl_step {splitter : Splitter} (h : splitter.Clean) (cs : List Char) :
    (cs.foldl Splitter.step splitter).Clean := by
  induction cs generalizing splitter with
  | nil => exact h
  | cons c cs ih => exact ih (clean_step h c)

theorem clean_split (text : String) : (split text).Clean :=
  split_eq text ▸ Splitter.clean_foldl_step ⟨by simp, noLineEnd_empty⟩ _

theorem noLineEnd_of_mem_textLines {text line : String} (h : line ∈ textLines text) :
    NoLineEnd line := by
  simp only [textLines, List.mem_append, Array.mem_toList_iff, List.mem_singleton] at h
  rcases h with h | rfl
  · exact (clean_split text).1 line h
  · exact (clean_split text).2

theorem noLineEnd_of_mem_streamLines {stream line : String} (h : line ∈ streamLines stream) :
    NoLineEnd line :=
  (clean_split stream).1 line (by simpa [streamLines] using h)

theorem noLineEnd_append {a b : String} (ha : NoLineEnd a) (hb : NoLineEnd b) :
    NoLineEnd (a ++ b) := by
  intro c hc
  rw [String.toList_append, List.mem_append] at hc
  exact hc.elim (ha c) (hb c)

theorem noLineEnd_of_isLine {text : String} (h : isLine text) : NoLineEnd text := by
  intro c hc
  simp only [isLine, List.all_eq_true, isForbidden] at h
  simpa using (show isLineEnd c = false ∧ _ by simpa using h c hc).1

theorem foldl_step_ended (cs : List Char) (before ended : Array String) (current : String)
    (afterCR : Bool) :
    (cs.foldl Splitter.step ⟨before ++ ended, current, afterCR⟩).ended =
      before ++ (cs.foldl Splitter.step ⟨ended, current, afterCR⟩).ended := by
  induction cs generalizing ended current afterCR with
  | nil => rfl
  | cons c cs ih =>
    simp only [List.foldl_cons, Splitter.step, ← Array.append_push]
    split
    · split <;> exact ih ..
    · split <;> exact ih ..

/-! ## Joining -/

/-- What a character adds to the text that the lines make when joined by LFs. -/
def emit (afterCR : Bool) (c : Char) : List Char :=
  if c = '\n' then
    if afterCR then [] else ['\n']
  else if c = '\r' then
    ['\n']
  else
    [c]

/-- What characters add to the text that the lines make when joined by LFs. -/
def emitAll (afterCR : Bool) : List Char → List Char
  | [] => []
  | c :: cs => emit afterCR c ++ emitAll (c = '\r') cs

/-- Drops the LF that belongs to a CR. -/
def dropLF : List Char → List Char
  | '\n' :: cs => cs
  | cs => cs

theorem go_cr (cs : List Char) :
    normalizeLineEnds.go ('\r' :: cs) = '\n' :: normalizeLineEnds.go (dropLF cs) := by
  match cs with
  | [] => simp [normalizeLineEnds.go, dropLF]
  | c :: cs =>
    by_cases h : c = '\n'
    · subst h
      simp [normalizeLineEnds.go, dropLF]
    · simp [normalizeLineEnds.go, dropLF, h]

theorem emitAll_eq (cs : List Char) :
    emitAll false cs = normalizeLineEnds.go cs ∧
      emitAll true cs = normalizeLineEnds.go (dropLF cs) := by
  induction cs with
  | nil => simp [emitAll, normalizeLineEnds.go, dropLF]
  | cons c cs ih =>
    by_cases hn : c = '\n'
    · subst hn
      simp [emitAll, emit, normalizeLineEnds.go, dropLF, ih]
    · by_cases hr : c = '\r'
      · subst hr
        simp [emitAll, emit, go_cr, dropLF, ih]
      · simp [emitAll, emit, normalizeLineEnds.go, dropLF, ih, hn, hr]

/-- The text that all lines but the last make with the last one when joined by LFs. -/
def joinLast (lines : List String) (last : String) : String :=
  (lines.foldl addLine none).elim last (· ++ "\n" ++ last)

theorem foldl_addLine_append (lines : List String) (last : String) :
    (lines ++ [last]).foldl addLine none = some (joinLast lines last) := by
  simp only [List.foldl_append, List.foldl_cons, List.foldl_nil, joinLast]
  cases lines.foldl addLine none <;> rfl

/-- The text that the lines make when joined by LFs. -/
def Splitter.joined (splitter : Splitter) : String :=
  joinLast splitter.ended.toList splitter.current

theorem Splitter.joined_step (splitter : Splitter) (c : Char) :
    (splitter.step c).joined = splitter.joined ++ .ofList (emit splitter.afterCR c) := by
  obtain ⟨ended, current, afterCR⟩ := splitter
  have pushed :
      joinLast (ended.push current).toList "" = joinLast ended.toList current ++ "\n" := by
    rw [Array.toList_push, joinLast, foldl_addLine_append]
    simp
  simp only [Splitter.step, emit, Splitter.joined]
  split
  · split
    · simp
    · exact pushed
  · split
    · exact pushed
    · simp only [joinLast]
      cases ended.toList.foldl addLine none <;> simp [← String.toList_inj]

theorem Splitter.joined_foldl_step (splitter : Splitter) (cs : List Char) :
    (cs.foldl Splitter.step splitter).joined =
      splitter.joined ++ .ofList (emitAll splitter.afterCR cs) := by
  induction cs generalizing splitter with
  | nil => simp [emitAll]
  | cons c cs ih =>
    have : (splitter.step c).afterCR = decide (c = '\r') := by
      simp only [Splitter.step]
      split
      · split <;> simp_all
      · split <;> simp_all
    simp [ih, this, joined_step, emitAll, String.append_assoc]

theorem foldl_addLine_textLines (text : String) :
    (textLines text).foldl addLine none = some (normalizeLineEnds text) := by
  have h := Splitter.joined_foldl_step {} text.toList
  rw [← split_eq, (emitAll_eq _).1] at h
  rw [textLines, foldl_addLine_append]
  simpa [Splitter.joined, joinLast, normalizeLineEnds] using h

theorem normalizeLineEnds_eq_self {text : String} (h : '\r' ∉ text.toList) :
    normalizeLineEnds text = text := by
  have go (cs : List Char) (h : '\r' ∉ cs) : normalizeLineEnds.go cs = cs := by
    induction cs with
    | nil => rfl
    | cons c cs ih =>
      have hc : c ≠ '\r' := fun hc => h (by simp [hc])
      have ih := ih (fun hr => h (by simp [hr]))
      simp [normalizeLineEnds.go, hc, ih]
  simp [normalizeLineEnds, go _ h]

end SSE

end LitheRt
