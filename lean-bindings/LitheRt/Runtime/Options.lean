import LitheRt.FFI

/-!
# Settings of the library, by their names
-/

namespace LitheRt

/-- A limit, a number, or a time in milliseconds, that the library knows a default for. A numeral is
one: `maxConnections := 500`. -/
inductive Setting where
  /-- What the library does when nothing is said. -/
  | default
  /-- No limit, or never. -/
  | off
  /-- So much, which is not 0. -/
  | of (n : Nat)
  deriving BEq, DecidableEq, Inhabited, Repr

namespace Setting

instance : OfNat Setting n := ⟨.of n⟩

instance : Coe Nat Setting := ⟨.of⟩

end Setting

namespace FFI

/-- The options of a struct of the library, by the names of its fields. -/
abbrev Fields := Array (String × String)

/-- A field that may be left as it is. -/
def Fields.setting (fields : Fields) (name : String) : Setting → IO Fields
  | .default => return fields
  | .off => return fields.push (name, "-1")
  | .of 0 => throw (.userError s!"{name}: 0 is no limit; say .off for none, or .default")
  | .of n => return fields.push (name, toString n)

/-- A text that may be left out. -/
def Fields.text? (fields : Fields) (name : String) : Option String → Fields
  | some text => fields.push (name, text)
  | none => fields

/-- A switch. -/
def Fields.switch (fields : Fields) (name : String) (on : Bool) : Fields :=
  if on then fields.push (name, "1") else fields

/-- Which struct, by its number in the library. -/
inductive OptionsKind where
  | server | ws | sse | event | response | route | codec | hub | channel | publish | subscribe
  | mount | grant

/-- Its number. -/
def OptionsKind.number (kind : OptionsKind) : UInt32 :=
  kind.ctorIdx.toUInt32 + 1

/-- Makes options, which are there until `optionsFree`. -/
def newOptions (kind : OptionsKind) (fields : Fields) : IO UInt64 := do
  let options ← optionsCreate kind.number
  try
    for (name, value) in fields do optionsSet options name value
    return options
  catch error =>
    optionsFree options
    throw error

/-- Makes options for the time of an action. -/
def withOptions (kind : OptionsKind) (fields : Fields) (action : UInt64 → IO α) : IO α := do
  let options ← newOptions kind fields
  try action options finally optionsFree options

end FFI

end LitheRt
