import LitheRt.Http.WebSocket.FrameProofs.Bytes

/-!
# What is proved about frames

About the very functions that run, `encode` and `decode` of `WSFrameHeader` and `WSFrame`, and
`WSMask.apply`:

* decoding what was encoded gives it back, wherever it stands: `decode_encode`
* nothing else is decoded: what `decode` takes for a header or frame are the bytes that `encode`
  writes of it: `decode_eq_some_iff`
* less than all of it is neither a header or frame nor an error: `decode_incomplete`
* the length is in its shortest form: `size_encode`
* applying a mask does what RFC 6455 §5.3 says, the same again takes it off, and it can be applied
  piece by piece: `WSMask.getElem_apply`, `WSMask.apply_apply`, `WSMask.apply_append`, in
  `LitheRt.Http.WebSocket.FrameProofs.Mask`

`Tests/FrameAxioms.lean` lists the axioms that they rest on, which are Lean's own.
-/

namespace LitheRt

theorem extract_append_append (before part rest : ByteArray) :
    (before ++ part ++ rest).extract before.size (before ++ part ++ rest).size = part ++ rest := by
  refine eq_of_toList_data_eq ?_
  rw [toList_data_extract, List.take_of_length_le]
  · simp
  · simp
    omega

namespace WSFrameHeader

/-- What is decoded are exactly the bytes that are encoded: no header has two forms, and no bytes
are taken for a header that they are not. -/
theorem decode_eq_some_iff {bytes : ByteArray} {start size : Nat} {header : WSFrameHeader} :
    decode bytes start = .ok (some (header, size)) ↔
      size = header.encode.size ∧
        ∃ rest, bytes.extract start bytes.size = header.encode ++ rest := by
  rw [decode_eq_some, ← WSFrame.prefix_tail_iff, toList_data_encode]
  simp [encode]

/-- Decoding an encoded header gives it back, and how many bytes it takes, whatever stands before
and behind it. -/
theorem decode_encode (before : ByteArray) (header : WSFrameHeader) (rest : ByteArray) :
    decode (before ++ header.encode ++ rest) before.size =
      .ok (some (header, header.encode.size)) :=
  decode_eq_some_iff.mpr ⟨rfl, rest, extract_append_append ..⟩

/-- Less than a header is not taken for a header, nor for an error. -/
theorem decode_incomplete {bytes rest : ByteArray} {header : WSFrameHeader}
    (h : bytes ++ rest = header.encode) (hr : rest ≠ .empty) : decode bytes = .ok none := by
  refine decode_eq_none (header := header) (rest := rest.data.toList) ?_ ?_
  · rw [← toList_data_encode, ← h]
    simp [tail]
  · intro hn
    exact hr (eq_of_toList_data_eq (by simp [hn]))

/-- A header takes two bytes, none, two or eight for the length, whichever is the least that has
room for it, and four for a mask. -/
theorem size_encode (header : WSFrameHeader) :
    header.encode.size =
      2 + (if header.length ≤ 125 then 0 else if header.length < 2 ^ 16 then 2 else 8) +
        if header.mask?.isSome then 4 else 0 := by
  have : header.encode.size = header.encodeList.length := by simp [encode]
  rw [this, length_encodeList, lengthSize, lengthCode]
  by_cases short : header.length ≤ 125
  · simp [short]
  · by_cases medium : header.length < 2 ^ 16
    · simp [if_neg short, if_pos medium]
    · simp [if_neg short, if_neg medium]

end WSFrameHeader

namespace WSFrame

/-- What is decoded are exactly the bytes that are encoded. -/
theorem decode_eq_some_iff {bytes : ByteArray} {start size : Nat} {frame : WSFrame} :
    decode bytes start = .ok (some (frame, size)) ↔
      size = frame.encode.size ∧
        ∃ rest, bytes.extract start bytes.size = frame.encode ++ rest := by
  rw [decode_eq_some, ← prefix_tail_iff]

/-- Decoding an encoded frame gives it back, with its mask taken off, and how many bytes it takes,
whatever stands before and behind it. -/
theorem decode_encode (before : ByteArray) (frame : WSFrame) (rest : ByteArray) :
    decode (before ++ frame.encode ++ rest) before.size = .ok (some (frame, frame.encode.size)) :=
  decode_eq_some_iff.mpr ⟨rfl, rest, extract_append_append ..⟩

/-- Less than a frame is not taken for a frame, nor for an error. -/
theorem decode_incomplete {bytes rest : ByteArray} {frame : WSFrame}
    (h : bytes ++ rest = frame.encode) (hr : rest ≠ .empty) : decode bytes = .ok none := by
  have whole : bytes.data.toList ++ rest.data.toList =
      frame.header.encodeList ++ (mask frame.header.mask? frame.payload).data.toList := by
    rw [← toList_data_encode, ← h, ByteArray.toList_data_append]
  have begins : frame.header.encodeList <+: bytes.data.toList ++ rest.data.toList := by
    rw [whole]
    exact List.prefix_append _ _
  have tail : WSFrameHeader.tail bytes 0 = bytes.data.toList := List.drop_zero
  by_cases hl : bytes.data.toList.length < frame.header.encodeList.length
  · obtain ⟨missing, hm⟩ := List.prefix_of_prefix_length_le (List.prefix_append _ _)
      begins (Nat.le_of_lt hl)
    have : missing ≠ [] := by
      rintro rfl
      simp [← hm] at hl
    simp only [decode, WSFrameHeader.decode_eq_none (tail.symm ▸ hm) this]
  · have hp : frame.header.encodeList <+: WSFrameHeader.tail bytes 0 :=
      tail ▸ List.prefix_of_prefix_length_le begins (List.prefix_append _ _) (Nat.le_of_not_lt hl)
    have size : bytes.size < frame.header.encodeList.length + frame.header.length := by
      have hs : bytes.size + rest.size = frame.encode.size := by rw [← h, ByteArray.size_append]
      have : rest.size ≠ 0 := fun h => hr (ByteArray.size_eq_zero_iff.mp h)
      rw [size_encode] at hs
      omega
    simp only [decode, WSFrameHeader.decode_eq_some.mpr ⟨rfl, hp⟩]
    rw [dif_neg]
    rw [size_mask, ByteArray.size_extract]
    have : bytes.data.toList.length = bytes.size := by rw [Array.length_toList, ByteArray.size_data]
    omega

end WSFrame

end LitheRt
