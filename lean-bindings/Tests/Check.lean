/-!
What the tests that run say.
-/

/-- Fails unless both are the same. -/
def expect [BEq α] [Repr α] (what : String) (actual expected : α) : IO Unit :=
  unless actual == expected do
    throw (.userError s!"{what}: expected {repr expected}, got {repr actual}")

/-- Fails unless the text has that in it. -/
def expectIn (what text part : String) : IO Unit :=
  unless (text.splitOn part).length > 1 do
    throw (.userError s!"{what}: no {repr part} in {repr text}")

/-- Fails if the text has that in it. -/
def expectNotIn (what text part : String) : IO Unit :=
  unless (text.splitOn part).length == 1 do
    throw (.userError s!"{what}: {repr part} in {repr text}")

/-- Waits until it is so, for ten seconds at most. -/
partial def eventually (what : String) (done : IO Bool) (tries : Nat := 1000) : IO Unit := do
  if ← done then return
  if tries == 0 then throw (.userError s!"{what} did not happen")
  IO.sleep 10
  eventually what done (tries - 1)
