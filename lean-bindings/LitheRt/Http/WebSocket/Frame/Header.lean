import LitheRt.Http.WebSocket.Frame.Mask

/-!
# Frame headers

What stands before the payload of a frame (RFC 6455 §5.2). A header that must not be sent cannot be
expressed: `WSFrameHeader` carries proofs of it. What is proved about the coding is in
`LitheRt.Http.WebSocket.FrameProofs`.
-/

namespace LitheRt

/-- What a frame is (RFC 6455 §5.2). -/
inductive WSOpcode where
  /-- A further part of a message. -/
  | continuation
  /-- Text, or the first part of it. -/
  | text
  /-- Bytes, or the first part of them. -/
  | binary
  /-- The end of the connection. -/
  | close
  /-- A question that a pong answers. -/
  | ping
  /-- The answer to a ping. -/
  | pong
  deriving DecidableEq, Inhabited, Repr

namespace WSOpcode

/-- The number on the wire. -/
def toNat : WSOpcode → Nat
  | continuation => 0
  | text => 1
  | binary => 2
  | close => 8
  | ping => 9
  | pong => 10

/-- The opcode with that number; `none` for a reserved one. -/
def ofNat? : Nat → Option WSOpcode
  | 0 => continuation
  | 1 => text
  | 2 => binary
  | 8 => close
  | 9 => ping
  | 10 => pong
  | _ => none

/-- Whether it is a close, ping or pong: they stand on their own, between the frames of messages. -/
def isControl : WSOpcode → Bool
  | continuation | text | binary => false
  | close | ping | pong => true

end WSOpcode

/-- What is wrong with a frame. -/
inductive WSProtocolError where
  /-- An opcode that RFC 6455 §5.2 reserves. -/
  | reservedOpcode
  /-- A payload length not in its shortest form, or over 63 bits (RFC 6455 §5.2). -/
  | length
  /-- A control frame that is fragmented or longer than 125 bytes (RFC 6455 §5.5). -/
  | control
  deriving DecidableEq, Inhabited, Repr

instance : ToString WSProtocolError where
  toString
    | .reservedOpcode => "reserved opcode"
    | .length => "malformed payload length"
    | .control => "malformed control frame"

/-- The header of a frame that may be sent. What the reserved bits mean, and whether frames are to
be masked, is between the ends of a connection. -/
structure WSFrameHeader where
  /-- Whether it is the last frame of its message. -/
  fin : Bool := true
  /-- The first reserved bit; of the first frame of a compressed message it is set (RFC 7692 §6). -/
  rsv1 : Bool := false
  /-- The second reserved bit. -/
  rsv2 : Bool := false
  /-- The third reserved bit. -/
  rsv3 : Bool := false
  /-- What the frame is. -/
  opcode : WSOpcode
  /-- What the payload is masked with, if it is. -/
  mask? : Option WSMask := none
  /-- The length of the payload in bytes. -/
  length : Nat
  /-- The length has 63 bits (RFC 6455 §5.2). -/
  length_lt : length < 2 ^ 63 := by decide
  /-- A control frame is not fragmented and has at most 125 bytes (RFC 6455 §5.5). -/
  control : opcode.isControl → fin ∧ length ≤ 125 := by decide
  deriving DecidableEq, Repr

namespace WSFrameHeader

/-- The header with these fields, if it may be sent: for a length that is known at run time only. -/
def check (fin rsv1 rsv2 rsv3 : Bool) (opcode : WSOpcode) (mask? : Option WSMask) (length : Nat) :
    Except WSProtocolError WSFrameHeader :=
  if length_lt : length < 2 ^ 63 then
    if control : opcode.isControl → fin ∧ length ≤ 125 then
      .ok { fin, rsv1, rsv2, rsv3, opcode, mask?, length, length_lt, control }
    else
      .error .control
  else
    .error .length

theorem length_of_check_eq_ok {fin rsv1 rsv2 rsv3 : Bool} {opcode : WSOpcode}
    {mask? : Option WSMask} {length : Nat} {header : WSFrameHeader}
    (h : check fin rsv1 rsv2 rsv3 opcode mask? length = .ok header) : header.length = length := by
  unfold check at h
  split at h
  · split at h
    · cases h
      rfl
    · contradiction
  · contradiction

/-- The last `count` bytes of a number, the highest first. -/
def bigEndian : (count : Nat) → Nat → List UInt8
  | 0, _ => []
  | count + 1, n => .ofNat (n / 256 ^ count) :: bigEndian count n

/-- The number that bytes stand for, the highest first. -/
def ofBigEndian (bytes : List UInt8) : Nat :=
  bytes.foldl (fun n byte => 256 * n + byte.toNat) 0

/-- What the low seven bits of the second byte say: the length, or where it stands. -/
def lengthCode (length : Nat) : Nat :=
  if length ≤ 125 then length else if length < 65536 then 126 else 127

/-- How many bytes the length takes after the second byte. -/
def lengthSize (code : Nat) : Nat :=
  if code ≤ 125 then 0 else if code = 126 then 2 else 8

/-- The first byte: the last frame's bit, the reserved bits, and the opcode. -/
def firstByte (fin rsv1 rsv2 rsv3 : Bool) (opcode : WSOpcode) : UInt8 :=
  .ofNat (128 * fin.toNat + 64 * rsv1.toNat + 32 * rsv2.toNat + 16 * rsv3.toNat + opcode.toNat)

/-- The second byte: whether there is a mask, and the length or where it stands. -/
def secondByte (masked : Bool) (code : Nat) : UInt8 :=
  .ofNat (128 * masked.toNat + code)

/-- The bytes of a header. -/
def encodeList (header : WSFrameHeader) : List UInt8 :=
  let code := lengthCode header.length
  firstByte header.fin header.rsv1 header.rsv2 header.rsv3 header.opcode ::
    secondByte header.mask?.isSome code ::
    (bigEndian (lengthSize code) header.length ++ header.mask?.elim [] WSMask.bytes)

/-- The header as it goes over the wire: 2 to 14 bytes. -/
def encode (header : WSFrameHeader) : ByteArray :=
  header.encodeList.toByteArray

/-- Reads a length, and what follows; `none` if there is not all of it. -/
def decodeLength (code : Nat) (bytes : List UInt8) :
    Except WSProtocolError (Option (Nat × List UInt8)) :=
  if code ≤ 125 then
    .ok (code, bytes)
  else
    let size := lengthSize code
    if bytes.length < size then
      .ok none
    else
      let length := ofBigEndian (bytes.take size)
      if lengthCode length = code then .ok (length, bytes.drop size) else .error .length

/-- Reads a mask if there is one, and what follows; `none` if there is not all of it. -/
def decodeMask (masked : Bool) (bytes : List UInt8) : Option (Option WSMask × List UInt8) :=
  match masked, bytes with
  | false, rest => some (none, rest)
  | true, a :: b :: c :: d :: rest => some (some { a, b, c, d }, rest)
  | true, _ => none

/-- Reads a header, and what follows; `none` if there is not all of it. -/
def decodeList (bytes : List UInt8) :
    Except WSProtocolError (Option (WSFrameHeader × List UInt8)) :=
  match bytes with
  | first :: second :: rest =>
    let bit (i : Nat) := first.toNat.testBit i
    match WSOpcode.ofNat? (first.toNat % 16) with
    | none => .error .reservedOpcode
    | some opcode =>
      match decodeLength (second.toNat % 128) rest with
      | .error error => .error error
      | .ok none => .ok none
      | .ok (some (length, rest)) =>
        match decodeMask (second.toNat.testBit 7) rest with
        | none => .ok none
        | some (mask?, rest) =>
          match check (bit 7) (bit 6) (bit 5) (bit 4) opcode mask? length with
          | .error error => .error error
          | .ok header => .ok (header, rest)
  | _ => .ok none

/-- Reads the header that begins at `start`, and says how many bytes it takes; `none` if there is
not all of it. Errors: a reserved opcode, a length not in its shortest form or over 63 bits, and a
control frame that is fragmented or longer than 125 bytes. -/
def decode (bytes : ByteArray) (start : Nat := 0) :
    Except WSProtocolError (Option (WSFrameHeader × Nat)) :=
  let bytes := (bytes.extract start (start + 14)).data.toList
  match decodeList bytes with
  | .error error => .error error
  | .ok none => .ok none
  | .ok (some (header, rest)) => .ok (header, bytes.length - rest.length)

end WSFrameHeader

end LitheRt
