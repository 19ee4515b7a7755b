import LitheRt.Http.WebSocket.Frame.Mask

/-!
# What is proved about masks
-/

namespace LitheRt.WSMask

theorem data_go (mask : WSMask) (offset : Nat) (payload : ByteArray) (i j : Nat) :
    (apply.go mask offset payload i).data[j]? =
      if j < i then payload.data[j]?
      else payload.data[j]?.map (· ^^^ mask.byte (offset + j)) := by
  fun_induction apply.go with
  | case1 payload i h ih =>
    rw [ih, ByteArray.data_set]
    by_cases hij : i = j
    · subst hij
      have h : i < payload.data.size := h
      rw [if_pos (Nat.lt_succ_self i), if_neg (Nat.lt_irrefl i), Array.getElem?_set_self h,
        Array.getElem?_eq_getElem h]
      rfl
    · have : j < i + 1 ↔ j < i := by omega
      simp [this, Array.getElem?_set_ne, hij]
  | case2 payload i h =>
    by_cases hji : j < i
    · simp [hji]
    · have : payload.data.size ≤ j := by
        have : ¬i < payload.data.size := h
        omega
      rw [if_neg hji, Array.getElem?_eq_none this]
      rfl

theorem data_apply (mask : WSMask) (payload : ByteArray) (offset : Nat) :
    (mask.apply payload offset).data =
      payload.data.mapIdx fun i byte => byte ^^^ mask.byte (offset + i) := by
  refine Array.ext_getElem? fun i => ?_
  simp [apply, data_go]

theorem size_apply (mask : WSMask) (payload : ByteArray) (offset : Nat) :
    (mask.apply payload offset).size = payload.size := by
  simp [← ByteArray.size_data, data_apply]

/-- The definition: each byte of the payload is combined with the byte of the key that its number
says (RFC 6455 §5.3). -/
theorem getElem_apply (mask : WSMask) (payload : ByteArray) (offset i : Nat)
    (h : i < payload.size) :
    (mask.apply payload offset)[i]'(by rwa [size_apply]) =
      payload[i] ^^^ mask.byte (offset + i) := by
  simp [ByteArray.getElem_eq_getElem_data, data_apply]

/-- The same mask again takes it off. -/
theorem apply_apply (mask : WSMask) (payload : ByteArray) (offset : Nat) :
    mask.apply (mask.apply payload offset) offset = payload := by
  refine ByteArray.ext (Array.ext_getElem? fun i => ?_)
  simp [data_apply, Function.comp_def, UInt8.xor_assoc]

/-- Piece by piece is as good as at once. -/
theorem apply_append (mask : WSMask) (a b : ByteArray) (offset : Nat) :
    mask.apply (a ++ b) offset = mask.apply a offset ++ mask.apply b (offset + a.size) := by
  refine ByteArray.ext ?_
  simp [data_apply, Array.mapIdx_append, Nat.add_comm, Nat.add_left_comm]

end LitheRt.WSMask
