/-!
# What is written in a URL
-/

namespace LitheRt.Url

private def hexDigit? (byte : UInt8) : Option UInt8 :=
  if 0x30 ≤ byte && byte ≤ 0x39 then some (byte - 0x30)
  else if 0x41 ≤ byte && byte ≤ 0x46 then some (byte - 0x41 + 10)
  else if 0x61 ≤ byte && byte ≤ 0x66 then some (byte - 0x61 + 10)
  else none

/-- Decodes `%41` to `A`, and in a form `+` to a space. What is no such code stays as it is, and so
does the whole text when it would not be UTF-8. -/
def decode (text : String) (form : Bool := false) : String :=
  if text.any fun c => c == '%' || (form && c == '+') then
    let bytes := go text.toUTF8 0 .empty
    (String.fromUTF8? bytes).getD text
  else text
where
  /-- Decodes from the byte at `i` on. -/
  go (bytes : ByteArray) (i : Nat) (decoded : ByteArray) : ByteArray :=
    if h : i < bytes.size then
      let byte := bytes[i]
      let code? : Option UInt8 := do
        guard (byte == 0x25)
        let high ← hexDigit? (← bytes[i + 1]?)
        let low ← hexDigit? (← bytes[i + 2]?)
        return high * 16 + low
      match code? with
      | some code => go bytes (i + 3) (decoded.push code)
      | none => go bytes (i + 1) (decoded.push (if form && byte == 0x2B then 0x20 else byte))
    else decoded
  termination_by bytes.size - i

/-- The segments between the slashes of a path, decoded. Empty ones do not count. -/
def segments (path : String) : List String :=
  path.splitOn "/" |>.filter (· ≠ "") |>.map decode

/-- The parameters of a query such as `name=Ann+B&x=1`, decoded, in their order. -/
def parameters (query : String) : Array (String × String) :=
  query.splitOn "&" |>.filter (· ≠ "") |>.toArray.map fun parameter =>
    match parameter.splitOn "=" with
    | name :: value => (decode name true, decode ("=".intercalate value) true)
    | [] => ("", "")

end LitheRt.Url
