import LitheRt.Http.SSE.Parse

/-!
# Proofs about fields

What `LitheRt.Http.SSE.Proofs` needs of reading single lines.
-/

namespace LitheRt.SSE

/-! ## Numbers -/

theorem digitChar_isDigit {n : Nat} (h : n < 10) :
    n.digitChar.isDigit ∧ n.digitChar.toNat - '0'.toNat = n := by
  match n with
  | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 => decide
  | n + 10 => omega

theorem toDigitsCore_spec (fuel n : Nat) (digits : List Char) (h : n < fuel) :
    let result := Nat.toDigitsCore 10 fuel n digits
    result ≠ [] ∧ result.all Char.isDigit = digits.all Char.isDigit ∧
      result.foldl (fun n digit => 10 * n + (digit.toNat - '0'.toNat)) 0 =
        digits.foldl (fun n digit => 10 * n + (digit.toNat - '0'.toNat)) n := by
  induction fuel generalizing n digits with
  | zero => omega
  | succ fuel ih =>
    have hd := digitChar_isDigit (Nat.mod_lt n (by decide : 0 < 10))
    simp only [Nat.toDigitsCore]
    split
    · rename_i h0
      refine ⟨by simp, by simp [hd], ?_⟩
      simp only [List.foldl_cons, hd]
      congr 1
      omega
    · have ih := ih (n / 10) ((n % 10).digitChar :: digits) (by omega)
      refine ⟨ih.1, by simp [ih.2.1, hd], ?_⟩
      rw [ih.2.2]
      simp only [List.foldl_cons, hd]
      congr 1
      omega

theorem number?_toString (n : Nat) : number? (toString n) = some n := by
  have h := toDigitsCore_spec (n + 1) n [] (by omega)
  have : (toString n).toList = Nat.toDigitsCore 10 (n + 1) n [] := by
    simp [toString, Nat.repr, Nat.toDigits]
  simp only [List.all_nil, List.foldl_nil] at h
  simp only [number?, this, h]
  simp [h.1]

/-! ## Fields -/

theorem nameAndValue_append (field name value : String)
    (hf : field.toList = name.toList ++ [':', ' ']) (hn : ∀ c ∈ name.toList, decide (c ≠ ':')) :
    nameAndValue (field ++ value) = (name, value) := by
  simp only [nameAndValue, String.toList_append, hf, List.append_assoc,
    List.takeWhile_append_of_pos hn, List.dropWhile_append_of_pos hn]
  simp

theorem processLine_comment (fields : SSEEvent.Fields) (text : String) :
    processLine fields (": " ++ text) =
      { fields with comment? := addLine fields.comment? text } := by
  simp only [processLine, nameAndValue_append ": " "" text (by decide) (by decide)]

theorem processLine_data (fields : SSEEvent.Fields) (text : String) :
    processLine fields ("data: " ++ text) = { fields with data := addLine fields.data text } := by
  simp only [processLine, nameAndValue_append "data: " "data" text (by decide) (by decide)]

theorem processLine_event (fields : SSEEvent.Fields) (name : String) :
    processLine fields ("event: " ++ name) = { fields with event? := name } := by
  simp only [processLine, nameAndValue_append "event: " "event" name (by decide) (by decide)]

theorem processLine_id (fields : SSEEvent.Fields) (id : String) (h : isLine id) :
    processLine fields ("id: " ++ id) = { fields with id? := id } := by
  have : id.toList.contains '\x00' = false := by
    simp only [isLine, List.all_eq_true] at h
    simp only [List.contains_eq_mem, decide_eq_false_iff_not]
    exact fun hc => absurd (h _ hc) (by decide)
  simp only [processLine, nameAndValue_append "id: " "id" id (by decide) (by decide), this]
  rfl

theorem processLine_retry (fields : SSEEvent.Fields) (ms : Nat) :
    processLine fields ("retry: " ++ toString ms) = { fields with retryMs? := ms } := by
  simp only [processLine, nameAndValue_append "retry: " "retry" _ (by decide) (by decide),
    number?_toString, Option.some_or]

theorem Reader.step_append (reader : Reader) {field : String} (value : String) (h : field ≠ "") :
    reader.step (field ++ value) =
      { reader with fields := processLine reader.fields (field ++ value) } := by
  simp [Reader.step, h]

end LitheRt.SSE
