/-!
# Texts in JSON

Importing anything of `Lean.Json` links all of Lean into a program, so it is left to those who want
it (`LitheRt.Json`). What the package itself writes in JSON are a few texts.
-/

namespace LitheRt.JsonText

/-- A text as JSON has it, in quotes (RFC 8259, §7). -/
def quote (text : String) : String :=
  text.foldl (fun quoted c => quoted ++ escape c) "\"" ++ "\""
where
  /-- A character as it stands in a text. -/
  escape (c : Char) : String :=
    if c == '"' then "\\\""
    else if c == '\\' then "\\\\"
    else if c == '\n' then "\\n"
    else if c == '\r' then "\\r"
    else if c == '\t' then "\\t"
    else if c.toNat < 0x20 then "\\u00" ++ hex (c.toNat / 16) ++ hex (c.toNat % 16)
    else c.toString
  /-- A digit. -/
  hex (n : Nat) : String := (Nat.digitChar n).toString

end LitheRt.JsonText
