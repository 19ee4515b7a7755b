import Game.Terrain

/-!
# The rules

Each is a change of the world, and nothing else: no rule reads a clock or sends anything.
-/

namespace Game

/-- A change of the world. -/
abbrev Rule := StateM World

/-- What a player can do. -/
inductive Action where
  /-- Look there, and take a step if the way is free. -/
  | go (direction : Direction)
  /-- Use the hands, or the pickaxe, on what is in front. -/
  | use
  /-- Put a stone in front. -/
  | place
  /-- Build a table in front. -/
  | table
  /-- Make the next better pickaxe, next to a table. -/
  | craft

/-- Reads what the page sends. -/
def Action.parse : String → Option Action
  | "left" => some (.go .left)
  | "right" => some (.go .right)
  | "up" => some (.go .up)
  | "down" => some (.go .down)
  | "use" => some .use
  | "place" => some .place
  | "table" => some .table
  | "craft" => some .craft
  | _ => none

namespace Rules

/-- A random number smaller than `n`, which is not 0. -/
def random (n : UInt64) : Rule UInt64 :=
  modifyGet fun world =>
    let (seed, number) := splitmix world.seed
    (number % n, { world with seed })

/-- A random cell. -/
def somewhere : Rule Position := do
  let i ← random (width * height : Nat).toUInt64
  return .ofIndex (Fin.ofNat (width * height) i.toNat)

/-- A free cell of that kind, if one is found soon. -/
def freeCell (cell : Cell) (tries : Nat := 200) : Rule (Option Position) := do
  match tries with
  | 0 => return none
  | tries + 1 =>
    let p ← somewhere
    let world ← get
    if world.cell p == cell && world.isFree p then return some p else freeCell cell tries

def setCell (p : Position) (cell : Cell) : Rule Unit :=
  modify fun world => { world with cells := world.cells.set p.index cell }

def player? (id : Nat) : Rule (Option Player) :=
  return (← get).players.find? (·.id == id)

def changePlayer (id : Nat) (change : Player → Player) : Rule Unit :=
  modify fun world => { world with
    players := world.players.map fun player => if player.id == id then change player else player }

def changeBag (id : Nat) (change : Bag → Bag) : Rule Unit :=
  changePlayer id fun player => { player with bag := change player.bag }

/-- Tells everybody. -/
def tell (news : String) : Rule Unit :=
  modify fun world => { world with news := (news :: world.news).take 5 }

/-- Tells everybody what a player has done for the first time. -/
def achieve (player : Player) (achievement : Achievement) : Rule Unit := do
  unless player.achievements.contains achievement do
    changePlayer player.id fun player =>
      { player with achievements := achievement :: player.achievements }
    tell s!"{player.name} {achievement.text}"

/-- A player comes, somewhere on a meadow. Gives the id, or none when there is no room. -/
def join (name : String) : Rule (Option Nat) := do
  let some position ← freeCell .grass | return none
  let id := (← get).nextId
  modify fun world => { world with
    nextId := id + 1
    players := world.players ++ [{ id, name, position }] }
  tell s!"{name} has come"
  return some id

/-- A player goes. -/
def leave (id : Nat) : Rule Unit := do
  if let some player ← player? id then
    modify fun world => { world with players := world.players.filter (·.id != id) }
    tell s!"{player.name} has left"

/-- Takes health away. Who has none left begins anew, with an empty bag. -/
def hurt (id : Nat) (harm : Nat) : Rule Unit := do
  if let some player ← player? id then
    if player.health > harm then
      changePlayer id fun player => { player with health := player.health - harm }
    else if let some position ← freeCell .grass then
      changePlayer id fun player => { player with
        position, health := full, food := full, drink := full, bag := {} }
      tell s!"{player.name} has died, and begins anew"

/-- Hits a creature. -/
def hit (player : Player) (creature : Creature) : Rule Unit := do
  let harm := 1 + player.bag.pickaxe
  let others := (← get).creatures.filter (·.id != creature.id)
  if creature.health > harm then
    let creature := { creature with health := creature.health - harm }
    modify ({ · with creatures := creature :: others })
  else
    modify ({ · with creatures := others })
    match creature.animal with
    | .cow =>
      changePlayer player.id fun player => { player with food := min full (player.food + 6) }
      achieve player .eat
    | .zombie => achieve player .zombie

/-- Digs what is in front with a pickaxe that is good enough. Gives a hint if it is not. -/
def dig (player : Player) (p : Position) (cell : Cell) : Rule (Option String) := do
  let take (least : Nat) (pickaxe : String) (achievement : Achievement) (put : Bag → Bag) := do
    if player.bag.pickaxe < least then return some s!"That takes a pickaxe of {pickaxe}."
    setCell p .path
    changeBag player.id put
    achieve player achievement
    return none
  match cell with
  | .stone => take 1 "wood" .stone fun bag => { bag with stone := bag.stone + 1 }
  | .coal => take 1 "wood" .coal fun bag => { bag with coal := bag.coal + 1 }
  | .iron => take 2 "stone" .iron fun bag => { bag with iron := bag.iron + 1 }
  | .diamond => take 3 "iron" .diamond fun bag => { bag with diamond := bag.diamond + 1 }
  | _ => return none

/-- Uses what is in front of a player. -/
def use (player : Player) : Rule (Option String) := do
  let some p := player.position.next player.facing | return none
  let world ← get
  if let some creature := world.creatures.find? (·.position == p) then
    hit player creature
    return none
  match world.cell p with
  | .water =>
    changePlayer player.id fun player => { player with drink := min full (player.drink + 2) }
    achieve player .drink
    return none
  | .tree =>
    changeBag player.id fun bag => { bag with wood := bag.wood + 1 }
    achieve player .wood
    return none
  | .table => return some "Next to a table you make pickaxes: C."
  | cell => dig player p cell

/-- Puts something in front of a player. -/
def put (player : Player) (cell : Cell) (onto : List Cell) (achievement : Achievement)
    (pay : Bag → Bag) : Rule (Option String) := do
  let world ← get
  match player.position.next player.facing with
  | some p =>
    if !onto.contains (world.cell p) || world.isTaken p then
      return some "There is no room for that in front of you."
    setCell p cell
    changeBag player.id pay
    achieve player achievement
    return none
  | none => return some "There the world ends."

/-- Makes the next better pickaxe. -/
def craft (player : Player) : Rule (Option String) := do
  let world ← get
  let near (i : Fin (width * height)) :=
    world.cells[i] == .table && (Position.ofIndex i).distance player.position ≤ 2
  unless (List.finRange (width * height)).any near do
    return some "Pickaxes are made next to a table."
  let bag := player.bag
  let make (bag : Bag) (achievement : Achievement) := do
    changeBag player.id fun _ => bag
    achieve player achievement
    return none
  match bag.pickaxe with
  | 0 =>
    if bag.wood < 1 then return some "A pickaxe of wood takes a wood."
    make { bag with wood := bag.wood - 1, pickaxe := 1 } .woodPickaxe
  | 1 =>
    if bag.wood < 1 || bag.stone < 1 then return some "A pickaxe of stone takes a wood and a stone."
    make { bag with wood := bag.wood - 1, stone := bag.stone - 1, pickaxe := 2 } .stonePickaxe
  | 2 =>
    if bag.wood < 1 || bag.coal < 1 || bag.iron < 1 then
      return some "A pickaxe of iron takes a wood, a coal and an iron."
    make { bag with
      wood := bag.wood - 1, coal := bag.coal - 1, iron := bag.iron - 1, pickaxe := 3 } .ironPickaxe
  | _ => return some "There is no better pickaxe."

/-- A player does something. Gives a hint when it does not work. -/
def act (id : Nat) (action : Action) : Rule (Option String) := do
  let some player ← player? id | return none
  match action with
  | .go facing =>
    let world ← get
    let position := match player.position.next facing with
      | some p => if world.isFree p then p else player.position
      | none => player.position
    changePlayer id fun player => { player with facing, position }
    return none
  | .use => use player
  | .place =>
    if player.bag.stone < 1 then return some "You have no stone."
    put player .stone [.grass, .sand, .path, .water] .place fun bag =>
      { bag with stone := bag.stone - 1 }
  | .table =>
    if player.bag.wood < 4 then return some "A table takes four woods."
    put player .table [.grass, .sand, .path] .table fun bag => { bag with wood := bag.wood - 4 }
  | .craft => craft player

/-- The way from one cell towards another. -/
def towards (p goal : Position) : Direction :=
  if p.x ≠ goal.x then if p.x < goal.x then .right else .left
  else if p.y < goal.y then .down else .up

/-- A creature takes a step, or bites. -/
def live (creature : Creature) : Rule Unit := do
  let world ← get
  let prey := world.players.filter (·.position.distance creature.position ≤ 6)
  let nearest := prey.foldl (init := none) fun (nearest : Option Player) player =>
    match nearest with
    | some other =>
      if other.position.distance creature.position ≤ player.position.distance creature.position
      then nearest else some player
    | none => some player
  let wander : Direction := match ← random 4 with
    | 0 => .left | 1 => .right | 2 => .up | _ => .down
  let still := (← random 3) != 0
  let direction? ← match creature.animal, nearest with
    | .zombie, some player =>
      if player.position.distance creature.position ≤ 1 then
        if (← random 3) == 0 then hurt player.id 1
        pure none
      else pure (some (towards creature.position player.position))
    | _, _ => pure (if still then none else some wander)
  let some p := direction?.bind creature.position.next | return
  if (← get).isFree p && (creature.animal == .zombie || (← get).cell p == .grass) then
    modify fun world => { world with creatures := world.creatures.map fun other =>
      if other.id == creature.id then { other with position := p } else other }

/-- Adds a creature on a meadow, not right beside a player. -/
def spawn (animal : Animal) (health : Nat) : Rule Unit := do
  let some position ← freeCell .grass | return
  if (← get).players.any (·.position.distance position < 6) then return
  let id := (← get).nextId
  let creature := { id, animal, position, health }
  modify fun world => { world with nextId := id + 1, creatures := creature :: world.creatures }

/-- What time does to a player: hunger and thirst, and with neither health comes back. -/
def age (player : Player) : Rule Unit := do
  let time := (← get).time
  let every (ticks : Nat) := (time + player.id * 7) % ticks == 0
  if every 250 then changePlayer player.id fun player => { player with food := player.food - 1 }
  if every 200 then changePlayer player.id fun player => { player with drink := player.drink - 1 }
  if every 60 then
    if player.food == 0 || player.drink == 0 then hurt player.id 1
    else changePlayer player.id fun player => { player with health := min full (player.health + 1) }

/-- A tenth of a second goes by. -/
def tick : Rule Unit := do
  modify fun world => { world with time := world.time + 1 }
  for player in (← get).players do age player
  let world ← get
  if world.time % 5 == 0 then
    for creature in world.creatures do live creature
  let count (animal : Animal) := (world.creatures.filter (·.animal == animal)).length
  if world.time % 20 == 1 && count .cow < 8 then spawn .cow 3
  if world.time % 20 == 11 then
    if world.isNight then
      if count .zombie < 2 + world.players.length then spawn .zombie 5
    else
      -- Zombies do not bear the day.
      modify fun world => { world with creatures := world.creatures.filter (·.animal != .zombie) }

end Rules

end Game
