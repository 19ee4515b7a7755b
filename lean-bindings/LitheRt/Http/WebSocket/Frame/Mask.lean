/-!
# Masking

What a client applies to each payload that it sends (RFC 6455 §5.3).
-/

namespace LitheRt

/-- The key of a masked frame: four bytes. -/
structure WSMask where
  /-- The byte for the first, fifth, … byte of the payload. -/
  a : UInt8
  /-- The byte for the second, sixth, … -/
  b : UInt8
  /-- The byte for the third, seventh, … -/
  c : UInt8
  /-- The byte for the fourth, eighth, … -/
  d : UInt8
  deriving DecidableEq, Inhabited, Repr

namespace WSMask

/-- The bytes of the key as they go over the wire. -/
def bytes (mask : WSMask) : List UInt8 :=
  [mask.a, mask.b, mask.c, mask.d]

/-- What the payload's byte number `i` is combined with. -/
@[inline]
def byte (mask : WSMask) (i : Nat) : UInt8 :=
  match i % 4 with
  | 0 => mask.a
  | 1 => mask.b
  | 2 => mask.c
  | _ => mask.d

/-- Applies the mask to a payload; the same again takes it off. `offset` is how many bytes of the
payload came before these. The bytes are changed in place if nothing else refers to them. -/
def apply (mask : WSMask) (payload : ByteArray) (offset : Nat := 0) : ByteArray :=
  go payload 0
where
  /-- Applies it from byte number `i` of these on. -/
  go (payload : ByteArray) (i : Nat) : ByteArray :=
    if h : i < payload.size then
      go (payload.set i (payload[i] ^^^ mask.byte (offset + i))) (i + 1)
    else
      payload
  termination_by payload.size - i
  decreasing_by
    simp only [← ByteArray.size_data, ByteArray.data_set, Array.size_set] at h ⊢
    omega

end WSMask

end LitheRt
