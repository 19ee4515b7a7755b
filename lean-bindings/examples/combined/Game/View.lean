import Game.Rules
import LitheRt.Http.JsonText

/-!
# What the page is told

In JSON, which is written as text here: `Lean.Json` would link all of Lean into the program.
-/

namespace Game.View

open LitheRt (JsonText.quote)

private def object (fields : List (String × String)) : String :=
  "{" ++ ",".intercalate (fields.map fun (name, value) => s!"{JsonText.quote name}:{value}") ++ "}"

private def array (values : List String) : String :=
  "[" ++ ",".intercalate values ++ "]"

private def direction : Direction → String
  | .left => "left" | .right => "right" | .up => "up" | .down => "down"

private def bag (bag : Bag) : String :=
  object [("wood", toString bag.wood), ("stone", toString bag.stone), ("coal", toString bag.coal),
    ("iron", toString bag.iron), ("diamond", toString bag.diamond),
    ("pickaxe", toString bag.pickaxe)]

/-- Something that is somewhere. -/
private def at_ (p : Position) (fields : List (String × String)) : String :=
  object (("x", toString p.x) :: ("y", toString p.y) :: fields)

private def player (player : Player) : String :=
  at_ player.position [("id", toString player.id), ("name", JsonText.quote player.name),
    ("facing", JsonText.quote (direction player.facing)), ("health", toString player.health),
    ("food", toString player.food), ("drink", toString player.drink), ("bag", bag player.bag),
    ("achievements", array (player.achievements.map (JsonText.quote ·.text)))]

private def creature (creature : Creature) : String :=
  let animal := match creature.animal with | .cow => "cow" | .zombie => "zombie"
  at_ creature.position [("id", toString creature.id), ("animal", JsonText.quote animal)]

/-- How light it is, in tenths: dusk and dawn take their time. -/
private def light (world : World) : Nat :=
  let time := world.time % World.day
  let dusk := World.day * 2 / 3
  let twilight := 60
  if time < dusk then 10
  else if time < dusk + twilight then 10 - (time - dusk) * 10 / twilight
  else if time < World.day - twilight then 0
  else 10 - (World.day - time) * 10 / twilight

/-- The whole world, as the page draws it. -/
def world (world : World) : String :=
  object [("width", toString width), ("height", toString height),
    ("cells", JsonText.quote (.ofList (world.cells.toList.map Cell.letter))),
    ("players", array (world.players.map player)),
    ("creatures", array (world.creatures.map creature)),
    ("light", toString (light world)), ("news", array (world.news.map JsonText.quote))]

/-- What a player is told at first: which one it is. -/
def you (id : Nat) : String :=
  object [("you", toString id)]

/-- Why something did not work. -/
def hint (text : String) : String :=
  object [("hint", JsonText.quote text)]

end Game.View
