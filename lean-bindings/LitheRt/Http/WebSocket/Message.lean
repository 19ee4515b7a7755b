/-!
# Messages
-/

namespace LitheRt

/-- A whole message. Pings, pongs and close frames are answered by the connection itself and never
show up here. -/
inductive WSMessage where
  /-- UTF-8 text. -/
  | text (content : String)
  /-- Bytes. -/
  | binary (content : ByteArray)
  deriving BEq, DecidableEq, Inhabited

namespace WSMessage

/-- The payload, whatever it means. -/
def data : WSMessage → ByteArray
  | .text content => content.toUTF8
  | .binary content => content

/-- The text, unless the message is binary. -/
def text? : WSMessage → Option String
  | .text content => content
  | .binary _ => none

/-- Whether this is text. -/
def isText : WSMessage → Bool
  | .text _ => true
  | .binary _ => false

/-- The length of the payload in bytes. -/
def size : WSMessage → Nat
  | .text content => content.utf8ByteSize
  | .binary content => content.size

instance : Coe String WSMessage := ⟨text⟩

instance : Coe ByteArray WSMessage := ⟨binary⟩

end WSMessage

end LitheRt
