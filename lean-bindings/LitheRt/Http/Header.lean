namespace LitheRt

/-- The name of a header, which counts in any case, and its value. -/
abbrev Header := String × String

/-- The headers of a request or response. Those of the same name keep their order. -/
abbrev Headers := Array Header

namespace Headers

/-- Whether a header has that name. -/
private def named (name : String) (header : Header) : Bool :=
  header.1.toLower == name.toLower

/-- The value of the first header of that name. -/
def value? (headers : Headers) (name : String) : Option String :=
  headers.find? (named name) |>.map (·.2)

/-- The values of all headers of that name. -/
def values (headers : Headers) (name : String) : Array String :=
  headers.filter (named name) |>.map (·.2)

/-- The headers without those of that name. -/
def without (headers : Headers) (name : String) : Headers :=
  headers.filter (!named name ·)

end Headers

end LitheRt
