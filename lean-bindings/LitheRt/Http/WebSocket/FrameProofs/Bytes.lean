import LitheRt.Http.WebSocket.Frame
import LitheRt.Http.WebSocket.FrameProofs.Header
import LitheRt.Http.WebSocket.FrameProofs.Mask

/-!
# Proofs about frames

What `LitheRt.Http.WebSocket.FrameProofs` needs of headers and frames in arrays of bytes.
-/

namespace LitheRt

theorem eq_of_toList_data_eq {a b : ByteArray} (h : a.data.toList = b.data.toList) : a = b :=
  ByteArray.ext (Array.toList_inj.mp h)

theorem toList_data_extract (bytes : ByteArray) (start stop : Nat) :
    (bytes.extract start stop).data.toList =
      (bytes.data.toList.drop start).take (stop - start) := by
  simp [ByteArray.data_extract, Array.toList_extract, List.extract_eq_drop_take]

namespace WSFrameHeader

theorem toList_data_encode (header : WSFrameHeader) :
    header.encode.data.toList = header.encodeList := by
  simp [encode]

theorem length_encodeList (header : WSFrameHeader) :
    header.encodeList.length =
      2 + lengthSize (lengthCode header.length) + if header.mask?.isSome then 4 else 0 := by
  simp only [encodeList, List.length_cons, List.length_append, length_bigEndian]
  cases header.mask? <;> simp [WSMask.bytes] <;> omega

theorem length_encodeList_le (header : WSFrameHeader) : header.encodeList.length ≤ 14 := by
  rw [length_encodeList, lengthSize]
  split <;> split <;> try split
  all_goals omega

/-- The bytes from `start` on. -/
def tail (bytes : ByteArray) (start : Nat) : List UInt8 :=
  bytes.data.toList.drop start

theorem decode_eq_some {bytes : ByteArray} {start size : Nat} {header : WSFrameHeader} :
    decode bytes start = .ok (some (header, size)) ↔
      size = header.encodeList.length ∧ header.encodeList <+: tail bytes start := by
  have window : (bytes.extract start (start + 14)).data.toList = (tail bytes start).take 14 := by
    rw [toList_data_extract, Nat.add_sub_cancel_left, tail]
  simp only [decode, window]
  constructor
  · intro h
    split at h
    · simp at h
    · simp at h
    · rename_i other rest hd
      simp only [Except.ok.injEq, Option.some.injEq, Prod.mk.injEq] at h
      obtain ⟨rfl, rfl⟩ := h
      have := eq_append_of_decodeList hd
      refine ⟨by rw [this, List.length_append, Nat.add_sub_cancel], ?_⟩
      exact (List.prefix_append _ rest).trans (this ▸ List.take_prefix 14 _)
  · rintro ⟨rfl, rest, h⟩
    rw [← h, List.take_append, List.take_of_length_le header.length_encodeList_le,
      decodeList_encodeList_append]
    simp

theorem decode_eq_none {bytes : ByteArray} {start : Nat} {header : WSFrameHeader}
    {rest : List UInt8} (h : tail bytes start ++ rest = header.encodeList) (hr : rest ≠ []) :
    decode bytes start = .ok none := by
  have window : (bytes.extract start (start + 14)).data.toList = tail bytes start := by
    rw [toList_data_extract, Nat.add_sub_cancel_left]
    refine List.take_of_length_le ?_
    have := header.length_encodeList_le
    rw [← h, List.length_append] at this
    exact Nat.le_trans (Nat.le_add_right ..) this
  simp only [decode, window, decodeList_eq_none_of_lt h hr]

end WSFrameHeader

namespace WSFrame

theorem size_mask (mask? : Option WSMask) (payload : ByteArray) :
    (mask mask? payload).size = payload.size := by
  cases mask? with
  | none => rfl
  | some key => exact key.size_apply payload 0

theorem mask_mask (mask? : Option WSMask) (payload : ByteArray) :
    mask mask? (mask mask? payload) = payload := by
  cases mask? with
  | none => rfl
  | some key => exact key.apply_apply payload 0

theorem toList_data_encode (frame : WSFrame) :
    frame.encode.data.toList =
      frame.header.encodeList ++ (mask frame.header.mask? frame.payload).data.toList := by
  simp [encode, WSFrameHeader.toList_data_encode]

theorem size_encode (frame : WSFrame) :
    frame.encode.size = frame.header.encodeList.length + frame.header.length := by
  rw [encode, ByteArray.size_append, size_mask, frame.size_payload, ← ByteArray.size_data,
    ← Array.length_toList, WSFrameHeader.toList_data_encode]

/-- The bytes of the payload that a frame takes when its header has `skip` bytes. -/
theorem toList_data_extract_tail (bytes : ByteArray) (start skip length : Nat) :
    (bytes.extract (start + skip) (start + skip + length)).data.toList =
      ((WSFrameHeader.tail bytes start).drop skip).take length := by
  rw [toList_data_extract, Nat.add_sub_cancel_left, WSFrameHeader.tail, List.drop_drop]

theorem decode_eq_some {bytes : ByteArray} {start size : Nat} {frame : WSFrame} :
    decode bytes start = .ok (some (frame, size)) ↔
      size = frame.encode.size ∧ frame.encode.data.toList <+: WSFrameHeader.tail bytes start := by
  constructor
  · intro h
    unfold decode at h
    split at h
    · simp at h
    · simp at h
    · rename_i header skip hd
      obtain ⟨rfl, rest, ht⟩ := WSFrameHeader.decode_eq_some.mp hd
      dsimp only at h
      split at h
      · rename_i hs
        simp only [Except.ok.injEq, Option.some.injEq, Prod.mk.injEq] at h
        obtain ⟨rfl, rfl⟩ := h
        refine ⟨by rw [size_encode], ?_⟩
        rw [toList_data_encode, mask_mask, toList_data_extract_tail, ← ht]
        simp [List.take_prefix]
      · simp at h
  · rintro ⟨rfl, rest, ht⟩
    rw [toList_data_encode, List.append_assoc] at ht
    have hd : WSFrameHeader.decode bytes start =
        .ok (some (frame.header, frame.header.encodeList.length)) :=
      WSFrameHeader.decode_eq_some.mpr ⟨rfl, _, ht⟩
    have length : (mask frame.header.mask? frame.payload).data.toList.length =
        frame.header.length := by
      rw [Array.length_toList, ByteArray.size_data, size_mask, frame.size_payload]
    have payload : bytes.extract (start + frame.header.encodeList.length)
        (start + frame.header.encodeList.length + frame.header.length) =
          mask frame.header.mask? frame.payload := by
      refine eq_of_toList_data_eq ?_
      rw [toList_data_extract_tail, ← ht, List.drop_left, ← length, List.take_left]
    simp only [decode, hd, payload, mask_mask, frame.size_payload, dite_true, size_encode]

/-- Where the bytes from `start` on begin with those of another array. -/
theorem prefix_tail_iff {bytes : ByteArray} {start : Nat} {part : ByteArray} :
    part.data.toList <+: WSFrameHeader.tail bytes start ↔
      ∃ rest, bytes.extract start bytes.size = part ++ rest := by
  have tail : (bytes.extract start bytes.size).data.toList = WSFrameHeader.tail bytes start := by
    rw [toList_data_extract, WSFrameHeader.tail]
    exact List.take_of_length_le (by simp)
  rw [← tail]
  constructor
  · rintro ⟨rest, h⟩
    exact ⟨rest.toByteArray, eq_of_toList_data_eq (by simp [h])⟩
  · rintro ⟨rest, h⟩
    exact ⟨rest.data.toList, by simp [h]⟩

end WSFrame

end LitheRt
