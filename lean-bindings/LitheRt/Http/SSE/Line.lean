/-!
# Lines of an event stream

A line of an event stream ends with CRLF, LF or CR (WHATWG HTML, §9.2.5). What goes on one line,
and how text is cut into lines: the formatter and the parser share these definitions.
-/

namespace LitheRt.SSE

/-- What ends a line, alone or as the pair CRLF. -/
def isLineEnd (c : Char) : Bool :=
  c = '\n' || c = '\r'

/-- What the value of `id` and `event` cannot hold: a line end would end the field and let its
remainder pass for other fields, and a client ignores an `id` with a NUL. -/
def isForbidden (c : Char) : Bool :=
  isLineEnd c || c = '\x00'

/-- Whether a text can be the value of `id` or `event`: it holds no CR, LF or NUL. -/
def isLine (text : String) : Bool :=
  text.toList.all (!isForbidden ·)

/-- `text.toList.foldl f init`, from position `p` of the text on and without making the list. -/
@[specialize]
def foldFrom (f : α → Char → α) (text : String) (p : text.Pos) (init : α) : α :=
  if h : p = text.endPos then init else foldFrom f text (p.next h) (f init (p.get h))
termination_by p

/-- The lines of a text that was read up to some character. -/
structure Splitter where
  /-- The lines that have ended, without their ends. -/
  ended : Array String := #[]
  /-- The line that has not ended. -/
  current : String := ""
  /-- Whether the last character was a CR: an LF that follows belongs to it. -/
  afterCR : Bool := false

/-- Reads the next character. -/
def Splitter.step : Splitter → Char → Splitter
  | ⟨ended, current, afterCR⟩, c =>
    if c = '\n' then
      if afterCR then ⟨ended, current, false⟩ else ⟨ended.push current, "", false⟩
    else if c = '\r' then
      ⟨ended.push current, "", true⟩
    else
      ⟨ended, current.push c, false⟩

/-- Reads a whole text. -/
def split (text : String) : Splitter :=
  foldFrom Splitter.step text text.startPos {}

/-- The lines of a text, without their ends. The last one is what follows the last line end, so
`textLines "a\r\nb" = ["a", "b"]`, `textLines "a\n" = ["a", ""]` and `textLines "" = [""]`. -/
def textLines (text : String) : List String :=
  let splitter := split text
  splitter.ended.toList ++ [splitter.current]

/-- The lines of a stream, without their ends. What follows the last line end is not a line yet:
`streamLines "a\r\nb" = ["a"]`. -/
def streamLines (stream : String) : List String :=
  (split stream).ended.toList

end LitheRt.SSE
