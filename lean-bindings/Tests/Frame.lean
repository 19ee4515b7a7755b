import LitheRt.Http.WebSocket.Frame
import LitheRt.Http.WebSocket.Message

/-!
Frames, case by case: the examples of RFC 6455, §5.7, and what must be refused. They are checked
when this file is compiled. That decoding gives back what was encoded is proved, in
`LitheRt.Http.WebSocket.FrameProofs`.
-/

open LitheRt

namespace FrameTests

/-- The bytes of a frame, if it may be sent. -/
def encoded (frame : Except WSProtocolError WSFrame) : Option (List UInt8) :=
  frame.toOption.map (·.encode.data.toList)

/-- What decoding bytes gives: the opcode, `fin`, the payload and the length of the frame. -/
def decoded (bytes : List UInt8) :
    Except WSProtocolError (Option (WSOpcode × Bool × String × Nat)) :=
  (WSFrame.decode bytes.toByteArray).map (·.map fun (frame, size) =>
    (frame.header.opcode, frame.header.fin, String.fromUTF8! frame.payload, size))

/-- The error of decoding bytes, if any. -/
def error? (bytes : List UInt8) : Option WSProtocolError :=
  match WSFrameHeader.decode bytes.toByteArray with
  | .ok _ => none
  | .error error => error

def hello : ByteArray := "Hello".toUTF8
def key : WSMask := { a := 0x37, b := 0xfa, c := 0x21, d := 0x3d }
def maskedHello : List UInt8 :=
  [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]

#guard encoded (WSFrame.of .text hello) = some [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
#guard encoded (WSFrame.of .text hello (mask? := key)) = some maskedHello
#guard encoded (WSFrame.of .text "Hel".toUTF8 (fin := false)) = some [0x01, 0x03, 0x48, 0x65, 0x6c]
#guard encoded (WSFrame.of .continuation "lo".toUTF8) = some [0x80, 0x02, 0x6c, 0x6f]
#guard encoded (WSFrame.of .ping hello) = some [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
#guard encoded (WSFrame.of .binary ByteArray.empty none true true false true) = some [0xd2, 0x00]

/-- The header of a frame with that many bytes. -/
def lengthOf (size : Nat) : Option (List UInt8) :=
  (WSFrameHeader.check true false false false .binary none size).toOption.map (·.encodeList)

#guard lengthOf 125 = some [0x82, 125]
#guard lengthOf 126 = some [0x82, 126, 0, 126]
#guard lengthOf 256 = some [0x82, 126, 1, 0]
#guard lengthOf 65535 = some [0x82, 126, 0xff, 0xff]
#guard lengthOf 65536 = some [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
#guard lengthOf (2 ^ 63 - 1) = some [0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
#guard lengthOf (2 ^ 63) = none

#guard decoded maskedHello matches .ok (some (.text, true, "Hello", 11))
#guard decoded (maskedHello ++ maskedHello) matches .ok (some (.text, true, "Hello", 11))
#guard (List.range maskedHello.length).all fun n => decoded (maskedHello.take n) matches .ok none
#guard decoded [0x01, 0x03, 0x48, 0x65, 0x6c] matches .ok (some (.text, false, "Hel", 5))
#guard decoded [0x8a, 0x00, 0xff] matches .ok (some (.pong, true, "", 2))

#guard [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].all fun code => error? [code, 0] == some .reservedOpcode
#guard error? [0x82, 126, 0, 125] = some .length
#guard error? [0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff] = some .length
#guard error? [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0] = some .length
#guard error? [0x08, 0] = some .control
#guard error? [0x89, 126, 0, 126] = some .control
#guard toString WSProtocolError.control = "malformed control frame"

/-! What may not be sent cannot be written down. -/

example : WSFrameHeader := { opcode := .close, length := 125 }
#guard_msgs (drop error) in
example : WSFrameHeader := { opcode := .close, length := 126 }
#guard (WSFrame.of .ping ("".pushn ' ' 126).toUTF8).isOk = false

/-! Masks apply to pieces as to the whole. -/

#guard key.apply (key.apply hello) = hello
#guard key.apply "He".toUTF8 ++ key.apply "llo".toUTF8 2 = key.apply hello

/-! Messages. -/

#guard (WSMessage.text "é").size = 2
#guard (WSMessage.text "é").data.toList = [0xC3, 0xA9]
#guard (WSMessage.text "é").text? = some "é" && (WSMessage.binary hello).text? = none

end FrameTests
