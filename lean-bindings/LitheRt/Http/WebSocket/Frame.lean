import LitheRt.Http.WebSocket.Frame.Header

/-!
# Frames

Whole frames (RFC 6455 §5.2), for a host that has sockets of its own: the server reads and writes
frames by itself. What is proved about the coding is in `LitheRt.Http.WebSocket.FrameProofs`.
-/

namespace LitheRt

/-- A frame that may be sent, with its payload as it was before masking. -/
structure WSFrame where
  /-- What stands before the payload. -/
  header : WSFrameHeader
  /-- The payload, without the mask. -/
  payload : ByteArray
  /-- The header tells the payload's length. -/
  size_payload : payload.size = header.length
  deriving DecidableEq

namespace WSFrame

/-- The frame with that payload. Errors: a control frame that is fragmented or has more than 125
bytes, and a payload of more than 63 bits. -/
def of (opcode : WSOpcode) (payload : ByteArray) (mask? : Option WSMask := none)
    (fin : Bool := true) (rsv1 rsv2 rsv3 : Bool := false) : Except WSProtocolError WSFrame :=
  match h : WSFrameHeader.check fin rsv1 rsv2 rsv3 opcode mask? payload.size with
  | .error error => .error error
  | .ok header =>
    .ok { header, payload, size_payload := (WSFrameHeader.length_of_check_eq_ok h).symm }

/-- Applies a frame's mask, if it has one, or takes it off. -/
def mask (mask? : Option WSMask) (payload : ByteArray) : ByteArray :=
  match mask? with
  | none => payload
  | some mask => mask.apply payload

/-- The frame as it goes over the wire, masked if it has a mask. -/
def encode (frame : WSFrame) : ByteArray :=
  frame.header.encode ++ mask frame.header.mask? frame.payload

/-- Reads the frame that begins at `start`, takes its mask off, and says how many bytes it takes;
`none` if there is not all of it. Errors: those of `WSFrameHeader.decode`. -/
def decode (bytes : ByteArray) (start : Nat := 0) :
    Except WSProtocolError (Option (WSFrame × Nat)) :=
  match WSFrameHeader.decode bytes start with
  | .error error => .error error
  | .ok none => .ok none
  | .ok (some (header, size)) =>
    let stop := start + size + header.length
    let payload := mask header.mask? (bytes.extract (start + size) stop)
    if size_payload : payload.size = header.length then
      .ok (some ({ header, payload, size_payload }, size + header.length))
    else
      .ok none

end WSFrame

end LitheRt
