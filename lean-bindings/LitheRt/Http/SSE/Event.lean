import LitheRt.Http.SSE.Line

/-!
# Server-sent events

An `SSEEvent` is what an `EventSource` in a browser receives (WHATWG HTML, §9.2). An event whose
`id` or `event` would break out of its line cannot be expressed: `SSEEvent` carries a proof that
they do not. For literals, numbers and texts made of them Lean finds the proof by itself; a value
that is known at run time only goes through `SSEEvent.check`.

```
def tick (n : Nat) : SSEEvent :=
  { data := "tick", event? := "clock", id? := toString n }

def renamed (name : String) : Except SSEError SSEEvent :=
  SSEEvent.check { data := "hello", event? := name }
```
-/

namespace LitheRt

/-- The fields of an event as they were given, or as they were read from a stream. -/
structure SSEEvent.Fields where
  /-- What the client gets. It gets each CRLF, CR and LF in it as one LF, and all else as it is.
  Without data a client dispatches no event, but goes by the other fields. -/
  data : Option String := none
  /-- What the client sends as `Last-Event-ID` when it reconnects. An empty one makes it forget the
  last one. -/
  id? : Option String := none
  /-- The event's type, by which an `EventSource` picks the listener; `message` when there is none
  or it is empty. -/
  event? : Option String := none
  /-- How long the client shall wait before it reconnects, in milliseconds. -/
  retryMs? : Option Nat := none
  /-- A comment, which clients ignore. -/
  comment? : Option String := none
  deriving DecidableEq, Inhabited, Repr

/-- Why fields do not make an event: `id` or `event` holds a CR, LF or NUL. It would end the field
and let its remainder pass for other fields, or be ignored by the client. -/
structure SSEError where
  /-- The field: `id` or `event`. -/
  field : String
  /-- The first character of the value that it cannot hold. -/
  character : Char
  deriving DecidableEq, Inhabited, Repr

namespace SSEError

private def quote (c : Char) : String :=
  match c with
  | '\n' => "'\\n'"
  | '\r' => "'\\r'"
  | '\x00' => "'\\0'"
  | c => c.quote

instance : ToString SSEError where
  toString error :=
    s!"\"{error.field}\" of an event cannot hold {quote error.character}; escape it or leave it out"

end SSEError

namespace SSEEvent.Fields

/-- `id` and `event` hold no CR, LF or NUL. -/
def Valid (fields : Fields) : Prop :=
  fields.id?.all SSE.isLine ∧ fields.event?.all SSE.isLine
  deriving Decidable

/-- What is wrong with the fields, if anything is. -/
def error? (fields : Fields) : Option SSEError :=
  (find "event" fields.event?).or (find "id" fields.id?)
where
  /-- The first character of a value that it cannot hold. -/
  find (field : String) (value? : Option String) : Option SSEError :=
    value?.bind fun value =>
      (value.toList.find? SSE.isForbidden).map fun character => { field, character }

private theorem all_isLine_iff {field : String} {value? : Option String} :
    error?.find field value? = none ↔ value?.all SSE.isLine := by
  cases value? <;> simp [error?.find, SSE.isLine, List.find?_eq_none]

/-- Fields are valid when there is nothing wrong with them. -/
theorem error?_eq_none {fields : Fields} : fields.error? = none ↔ fields.Valid := by
  simp only [error?, Valid, Option.or_eq_none_iff, all_isLine_iff]
  exact And.comm

end SSEEvent.Fields

namespace SSE

theorem toString_string (text : String) : toString text = text := rfl

theorem isLine_append {a b : String} : isLine (a ++ b) = (isLine a && isLine b) := by
  simp [isLine]

private theorem isForbidden_digitChar (n : Nat) (h : n < 10) : isForbidden n.digitChar = false := by
  match n with
  | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 => decide
  | n + 10 => omega

private theorem all_toDigitsCore (fuel n : Nat) (digits : List Char)
    (h : digits.all (!isForbidden ·)) :
    (Nat.toDigitsCore 10 fuel n digits).all (!isForbidden ·) := by
  induction fuel generalizing n digits with
  | zero => exact h
  | succ fuel ih =>
    have : isForbidden (n % 10).digitChar = false :=
      isForbidden_digitChar _ (Nat.mod_lt _ (by decide))
    simp only [Nat.toDigitsCore]
    split
    · simp [this, h]
    · exact ih _ _ (by simp [this, h])

theorem isLine_toString_nat (n : Nat) : isLine (toString n) := by
  simp [isLine, toString, Nat.repr, Nat.toDigits, all_toDigitsCore]

theorem isLine_toString_uint64 (n : UInt64) : isLine (toString n) :=
  isLine_toString_nat n.toNat

end SSE

/-- Proves that the `id` and `event` of an event are lines: of literals, numbers, texts put together
of them, and what a hypothesis in scope says. -/
macro "sse_line" : tactic => `(tactic| first
  | decide +kernel
  | assumption
  | (simp +decide [SSEEvent.Fields.Valid, SSE.isLine_append, SSE.isLine_toString_nat,
      SSE.isLine_toString_uint64, SSE.toString_string, *]; done)
  | fail "`id?` and `event?` of an event hold no CR, LF or NUL. Lean sees that of literals and \
      numbers; values that are known at run time only go through `SSEEvent.check`.")

/-- An event, whose `id` and `event` are known to stay on their lines. -/
structure SSEEvent extends SSEEvent.Fields where
  /-- The event with these fields. -/
  ofFields ::
  /-- `id` and `event` hold no CR, LF or NUL. Lean proves it of literals and numbers by itself. -/
  valid : toFields.Valid := by sse_line
  deriving DecidableEq, Repr

namespace SSEEvent

instance : Inhabited SSEEvent := ⟨{}⟩

/-- An event with that data, and an `id` and type if given. -/
def mk (data : String) (id? event? : Option String := none)
    (valid : Fields.Valid { data := data, id? := id?, event? := event? } := by sse_line) :
    SSEEvent :=
  ofFields { data := data, id? := id?, event? := event? } valid

/-- A comment, which clients ignore. A line end in it begins another comment line. -/
def comment (text : String) : SSEEvent :=
  { comment? := text }

/-- The event with these fields, if their `id` and `event` hold no CR, LF or NUL. For values that
are known at run time only. Never blocks. -/
def check (fields : Fields) : Except SSEError SSEEvent :=
  match h : fields.error? with
  | none => .ok (ofFields fields (Fields.error?_eq_none.mp h))
  | some error => .error error

end SSEEvent

end LitheRt
