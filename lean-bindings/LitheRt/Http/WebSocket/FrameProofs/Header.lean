import LitheRt.Http.WebSocket.Frame.Header

/-!
# Proofs about frame headers

What `LitheRt.Http.WebSocket.FrameProofs` needs of headers, as lists of bytes.
-/

namespace LitheRt.WSFrameHeader

/-! ## Numbers of several bytes -/

theorem foldl_bigEndian (count n start : Nat) :
    (bigEndian count n).foldl (fun n byte => 256 * n + byte.toNat) start =
      256 ^ count * start + n % 256 ^ count := by
  induction count generalizing start with
  | zero => simp [bigEndian, Nat.mod_one]
  | succ count ih =>
    simp only [bigEndian, List.foldl_cons, ih]
    rw [Nat.pow_succ, Nat.mod_mul, UInt8.toNat_ofNat', Nat.mul_add, Nat.mul_assoc,
      show 2 ^ 8 = 256 from rfl]
    omega

theorem ofBigEndian_bigEndian {count n : Nat} (h : n < 256 ^ count) :
    ofBigEndian (bigEndian count n) = n := by
  simp [ofBigEndian, foldl_bigEndian, Nat.mod_eq_of_lt h]

theorem length_bigEndian (count n : Nat) : (bigEndian count n).length = count := by
  induction count with
  | zero => rfl
  | succ count ih => simp [bigEndian, ih]

theorem bigEndian_foldl (bytes : List UInt8) (start : Nat) :
    let n := bytes.foldl (fun n byte => 256 * n + byte.toNat) start
    bigEndian bytes.length n = bytes ∧ n / 256 ^ bytes.length = start := by
  induction bytes generalizing start with
  | nil => simp [bigEndian]
  | cons byte bytes ih =>
    obtain ⟨hb, hn⟩ := ih (256 * start + byte.toNat)
    have := byte.toNat_lt
    simp only [List.foldl_cons, List.length_cons, bigEndian, hb, hn]
    constructor
    · simp
    · rw [Nat.pow_succ, ← Nat.div_div_eq_div_mul, hn]
      omega

theorem bigEndian_ofBigEndian (bytes : List UInt8) :
    bigEndian bytes.length (ofBigEndian bytes) = bytes :=
  (bigEndian_foldl bytes 0).1

/-! ## Lengths -/

theorem lengthCode_lt (length : Nat) : lengthCode length < 128 := by
  unfold lengthCode
  split
  · omega
  · split <;> omega

/-- A length has room where its code says that it stands. -/
theorem length_lt_of_lengthCode {length : Nat} (h : length < 2 ^ 63)
    (hc : ¬lengthCode length ≤ 125) : length < 256 ^ lengthSize (lengthCode length) := by
  unfold lengthCode lengthSize at *
  split
  · simp_all
  · split <;> simp <;> omega

theorem decodeLength_append {length : Nat} (h : length < 2 ^ 63) (rest : List UInt8) :
    let code := lengthCode length
    decodeLength code (bigEndian (lengthSize code) length ++ rest) = .ok (some (length, rest)) := by
  by_cases hc : lengthCode length ≤ 125
  · have hl : length ≤ 125 := by
      unfold lengthCode at hc
      split at hc
      · assumption
      · split at hc <;> omega
    simp [decodeLength, lengthCode, hl, lengthSize, bigEndian]
  · simp [decodeLength, hc, length_bigEndian,
      ofBigEndian_bigEndian (length_lt_of_lengthCode h hc)]

theorem eq_append_of_decodeLength {code length : Nat} {bytes rest : List UInt8}
    (h : decodeLength code bytes = .ok (some (length, rest))) :
    code = lengthCode length ∧ bytes = bigEndian (lengthSize code) length ++ rest := by
  unfold decodeLength at h
  split at h
  · rename_i hc
    cases h
    simp [lengthCode, hc, lengthSize, bigEndian]
  · dsimp only at h
    split at h
    · simp at h
    · split at h
      · rename_i hl hs
        cases h
        have := bigEndian_ofBigEndian (bytes.take (lengthSize code))
        rw [List.length_take, Nat.min_eq_left (by omega)] at this
        exact ⟨hs.symm, by rw [this, List.take_append_drop]⟩
      · simp at h

/-! ## Masks -/

theorem decodeMask_append (mask? : Option WSMask) (rest : List UInt8) :
    decodeMask mask?.isSome (mask?.elim [] WSMask.bytes ++ rest) = some (mask?, rest) := by
  cases mask? <;> rfl

theorem eq_append_of_decodeMask {masked : Bool} {bytes rest : List UInt8}
    {mask? : Option WSMask} (h : decodeMask masked bytes = some (mask?, rest)) :
    masked = mask?.isSome ∧ bytes = mask?.elim [] WSMask.bytes ++ rest := by
  unfold decodeMask at h
  split at h <;> cases h <;> exact ⟨rfl, rfl⟩

/-! ## The first two bytes -/

theorem firstByte_spec (fin rsv1 rsv2 rsv3 : Bool) (opcode : WSOpcode) :
    let byte := (firstByte fin rsv1 rsv2 rsv3 opcode).toNat
    WSOpcode.ofNat? (byte % 16) = some opcode ∧ byte.testBit 7 = fin ∧ byte.testBit 6 = rsv1 ∧
      byte.testBit 5 = rsv2 ∧ byte.testBit 4 = rsv3 := by
  revert fin rsv1 rsv2 rsv3
  cases opcode <;> decide +kernel

theorem firstByte_eq {byte : UInt8} {opcode : WSOpcode}
    (h : WSOpcode.ofNat? (byte.toNat % 16) = some opcode) :
    firstByte (byte.toNat.testBit 7) (byte.toNat.testBit 6) (byte.toNat.testBit 5)
      (byte.toNat.testBit 4) opcode = byte := by
  have all : ∀ n < 256, ∀ opcode ∈ WSOpcode.ofNat? (n % 16),
      firstByte (n.testBit 7) (n.testBit 6) (n.testBit 5) (n.testBit 4) opcode = .ofNat n := by
    decide +kernel
  simpa using all byte.toNat byte.toNat_lt opcode h

theorem secondByte_spec (masked : Bool) {code : Nat} (h : code < 128) :
    (secondByte masked code).toNat % 128 = code ∧
      (secondByte masked code).toNat.testBit 7 = masked := by
  have all : ∀ code < 128, (secondByte masked code).toNat % 128 = code ∧
      (secondByte masked code).toNat.testBit 7 = masked := by
    revert masked
    decide +kernel
  exact all code h

theorem secondByte_eq (byte : UInt8) :
    secondByte (byte.toNat.testBit 7) (byte.toNat % 128) = byte := by
  have all : ∀ n < 256, secondByte (n.testBit 7) (n % 128) = .ofNat n := by
    decide +kernel
  simpa using all byte.toNat byte.toNat_lt

/-! ## Headers -/

theorem check_eq_ok (header : WSFrameHeader) :
    check header.fin header.rsv1 header.rsv2 header.rsv3 header.opcode header.mask?
      header.length = .ok header := by
  rw [check, dif_pos header.length_lt, dif_pos header.control]

theorem decodeList_encodeList_append (header : WSFrameHeader) (rest : List UInt8) :
    decodeList (header.encodeList ++ rest) = .ok (some (header, rest)) := by
  obtain ⟨ho, h7, h6, h5, h4⟩ :=
    firstByte_spec header.fin header.rsv1 header.rsv2 header.rsv3 header.opcode
  obtain ⟨hc, hm⟩ := secondByte_spec header.mask?.isSome (lengthCode_lt header.length)
  simp only [encodeList, List.cons_append, List.append_assoc, decodeList, ho, h7, h6, h5, h4, hc,
    hm, decodeLength_append header.length_lt, decodeMask_append, check_eq_ok]

theorem eq_append_of_decodeList {header : WSFrameHeader} {bytes rest : List UInt8}
    (h : decodeList bytes = .ok (some (header, rest))) : bytes = header.encodeList ++ rest := by
  unfold decodeList at h
  split at h
  · rename_i first second bytes
    dsimp only at h
    split at h
    · simp at h
    · rename_i opcode ho
      split at h
      · simp at h
      · simp at h
      · rename_i length after hl
        split at h
        · simp at h
        · rename_i mask? after' hm
          split at h
          · simp at h
          · rename_i checked hk
            simp only [Except.ok.injEq, Option.some.injEq, Prod.mk.injEq] at h
            obtain ⟨rfl, rfl⟩ := h
            obtain ⟨hcode, rfl⟩ := eq_append_of_decodeLength hl
            obtain ⟨hmasked, rfl⟩ := eq_append_of_decodeMask hm
            unfold check at hk
            split at hk
            · split at hk
              · cases hk
                simp [encodeList, ← hcode, ← hmasked, firstByte_eq ho, secondByte_eq]
              · simp at hk
            · simp at hk
  · simp at h

/-! ## More bytes -/

theorem decodeLength_append_of_ne {code : Nat} {bytes : List UInt8}
    (h : decodeLength code bytes ≠ .ok none) (rest : List UInt8) :
    decodeLength code (bytes ++ rest) =
      (decodeLength code bytes).map (·.map fun (length, after) => (length, after ++ rest)) := by
  unfold decodeLength at h ⊢
  split
  · rfl
  · rename_i hc
    rw [if_neg hc] at h
    dsimp only at h ⊢
    split at h
    · contradiction
    · rename_i hl
      rw [if_neg (by rw [List.length_append]; omega), if_neg hl,
        List.take_append_of_le_length (by omega), List.drop_append_of_le_length (by omega)]
      split <;> rfl

theorem decodeMask_append_of_some {masked : Bool} {bytes after : List UInt8}
    {mask? : Option WSMask} (h : decodeMask masked bytes = some (mask?, after))
    (rest : List UInt8) : decodeMask masked (bytes ++ rest) = some (mask?, after ++ rest) := by
  obtain ⟨rfl, rfl⟩ := eq_append_of_decodeMask h
  rw [List.append_assoc, decodeMask_append]

theorem decodeList_append_of_error {bytes : List UInt8} {error : WSProtocolError}
    (h : decodeList bytes = .error error) (rest : List UInt8) :
    decodeList (bytes ++ rest) = .error error := by
  match bytes with
  | [] | [_] => simp [decodeList] at h
  | first :: second :: bytes =>
    simp only [decodeList, List.cons_append] at h ⊢
    split at h
    · exact h
    · split at h
      · rename_i hl
        rw [decodeLength_append_of_ne (by simp [hl]), hl]
        exact h
      · simp at h
      · rename_i hl
        rw [decodeLength_append_of_ne (by simp [hl]), hl]
        split at h
        · simp at h
        · rename_i hm
          simp only [Except.map, Option.map, decodeMask_append_of_some hm]
          split at h
          · exact h
          · simp at h

/-- Less than a header is not taken for a header, nor for an error. -/
theorem decodeList_eq_none_of_lt {header : WSFrameHeader} {bytes rest : List UInt8}
    (h : bytes ++ rest = header.encodeList) (hr : rest ≠ []) : decodeList bytes = .ok none := by
  have whole := decodeList_encodeList_append header []
  rw [List.append_nil, ← h] at whole
  match hb : decodeList bytes with
  | .ok none => rfl
  | .error error => simp [decodeList_append_of_error hb] at whole
  | .ok (some (other, after)) =>
    rw [eq_append_of_decodeList hb, List.append_assoc, decodeList_encodeList_append] at whole
    simp [hr] at whole

end LitheRt.WSFrameHeader
