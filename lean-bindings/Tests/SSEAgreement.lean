import LitheRt.FFI
import LitheRt.Http.SSE.Format
import LitheRt.Http.SSE.Parse

/-!
`SSEEvent.format` and the server's own encoder get the same random events, and have to write the
same bytes and refuse the same fields with the same words.
-/

open LitheRt

namespace SSEAgreement

/-- One of these. -/
def oneOf [Inhabited α] (values : Array α) : IO α :=
  return values[← IO.rand 0 (values.size - 1)]!

/-- Text made mostly of what has a meaning in an event stream. -/
def text : IO String := do
  let mut text := ""
  for _ in [0:← IO.rand 0 12] do
    text := text ++ (← oneOf #["\r", "\n", "\r\n", " ", ":", "\uFEFF", "\u2028", "data: ", "id",
      "x", "é", "😀", "0", "retry: 1"])
  return text

/-- Text for a field that takes one line, in which something else is now and then. -/
def line : IO String := do
  let text ← text
  if (← IO.rand 0 3) = 0 then
    return text ++ (← oneOf #["", "\x00", "\n", "\r"])
  else
    return .ofList (text.toList.filter (!SSE.isForbidden ·))

/-- Nothing, or what is made. -/
def maybe (make : IO α) : IO (Option α) := do
  if (← IO.rand 0 1) = 0 then return none else return some (← make)

/-- The fields of an event. A time to retry of 0 is none to the server, and the longest that it
takes has 63 bits. -/
def fields : IO SSEEvent.Fields :=
  return {
    data := ← maybe text
    id? := ← maybe line
    event? := ← maybe line
    retryMs? := ← maybe (oneOf #[1, 9, 10, 3000, 65536, 4294967296, 2 ^ 63 - 1])
    comment? := ← maybe text }

/-- What the server writes for these fields. -/
def written (fields : SSEEvent.Fields) : IO ByteArray :=
  let bit (field : Option String) (bit : UInt8) := if field.isSome then bit else 0
  FFI.sseFormat
    (bit fields.data 1 ||| bit fields.event? 2 ||| bit fields.id? 4 ||| bit fields.comment? 8)
    (fields.data.getD "") (fields.event?.getD "") (fields.id?.getD "") (fields.comment?.getD "")
    ((fields.retryMs?.getD 0).toUInt64)

/-- Compares both for one event, and says whether it was refused. -/
def compare (fields : SSEEvent.Fields) : IO Bool := do
  let written ← (written fields).toBaseIO
  match SSEEvent.check fields, written with
  | .ok event, .ok bytes =>
    unless event.toBytes == bytes do
      throw <| .userError s!"{repr fields}: {repr event.format} here, {bytes} there"
    unless SSEEvent.parse event.format = [fields.normalized] do
      throw <| .userError s!"{repr fields} is read as {repr (SSEEvent.parse event.format)}"
    return false
  | .error error, .error refusal =>
    unless ((toString refusal).splitOn (toString error)).length = 2 do
      throw <| .userError s!"{repr fields}: {error} here, {refusal} there"
    return true
  | .ok event, .error refusal =>
    throw <| .userError s!"{repr fields}: {repr event.format} here, {refusal} there"
  | .error error, .ok bytes =>
    throw <| .userError s!"{repr fields}: {error} here, {bytes} there"

/-- Compares both for many events, of which some are to be refused. -/
def run (count : Nat := 5000) : IO Unit := do
  let seed ← IO.monoNanosNow
  IO.setRandSeed seed
  try
    let mut refused := 0
    for _ in [0:count] do
      if ← compare (← fields) then refused := refused + 1
    unless 0 < refused ∧ refused < count do
      throw <| .userError s!"{refused} of {count} events were refused"
  catch error =>
    throw <| .userError s!"seed {seed}: {error}"

end SSEAgreement
