/-!
# The world

A grid of cells, and who is on it. A position cannot lie outside: it is made of numbers that are
smaller than the grid, so no rule of the game has to check.
-/

namespace Game

/-- Columns of the grid. -/
abbrev width := 36

/-- Rows of the grid. -/
abbrev height := 22

/-- A direction to look and to go. -/
inductive Direction where
  | left | right | up | down
  deriving BEq, Inhabited

/-- A cell of the grid. -/
structure Position where
  x : Fin width
  y : Fin height
  deriving BEq, Inhabited

namespace Position

/-- Where the cell is when the rows are written one after the other. -/
def index (p : Position) : Fin (width * height) :=
  ⟨p.y * width + p.x, by have := p.x.isLt; have := p.y.isLt; simp only [width, height] at *; omega⟩

/-- The cell at that place. -/
def ofIndex (i : Fin (width * height)) : Position where
  x := ⟨i % width, Nat.mod_lt _ (by decide)⟩
  y := ⟨i / width, by have := i.isLt; simp only [width, height] at *; omega⟩

/-- The next cell in that direction, where the world goes on. -/
def next (p : Position) : Direction → Option Position
  | .left => if p.x = 0 then none else some { p with x := p.x - 1 }
  | .right => if h : p.x + 1 < width then some { p with x := ⟨p.x + 1, h⟩ } else none
  | .up => if p.y = 0 then none else some { p with y := p.y - 1 }
  | .down => if h : p.y + 1 < height then some { p with y := ⟨p.y + 1, h⟩ } else none

/-- How many steps apart two cells are. -/
def distance (p q : Position) : Nat :=
  let apart (a b : Nat) := max a b - min a b
  apart p.x q.x + apart p.y q.y

end Position

/-- What a cell is made of. -/
inductive Cell where
  | grass | sand | path | water | tree | stone | coal | iron | diamond | table
  deriving BEq, Inhabited

namespace Cell

/-- Whether one can walk there. -/
def isOpen : Cell → Bool
  | grass | sand | path => true
  | _ => false

/-- How the page is told of it. -/
def letter : Cell → Char
  | grass => 'g' | sand => 'a' | path => 'p' | water => 'w' | tree => 't'
  | stone => 's' | coal => 'c' | iron => 'i' | diamond => 'd' | table => 'b'

end Cell

/-- What a player has done for the first time. -/
inductive Achievement where
  | drink | eat | wood | table | woodPickaxe | stone | place | stonePickaxe | coal | iron
  | ironPickaxe | diamond | zombie
  deriving BEq

/-- In words. -/
def Achievement.text : Achievement → String
  | drink => "drank water" | eat => "ate a cow" | wood => "cut wood" | table => "built a table"
  | woodPickaxe => "made a wooden pickaxe" | stone => "dug stone" | place => "placed a stone"
  | stonePickaxe => "made a stone pickaxe" | coal => "dug coal" | iron => "dug iron"
  | ironPickaxe => "made an iron pickaxe" | diamond => "found a diamond"
  | zombie => "beat a zombie"

/-- What a player carries. -/
structure Bag where
  wood : Nat := 0
  stone : Nat := 0
  coal : Nat := 0
  iron : Nat := 0
  diamond : Nat := 0
  /-- The pickaxe: 0 is none, 1 of wood, 2 of stone, 3 of iron. -/
  pickaxe : Nat := 0

/-- The most that a player has of health, food and drink. -/
def full : Nat := 9

structure Player where
  id : Nat
  name : String
  position : Position
  facing : Direction := .down
  health : Nat := full
  food : Nat := full
  drink : Nat := full
  bag : Bag := {}
  achievements : List Achievement := []

inductive Animal where
  | cow | zombie
  deriving BEq

structure Creature where
  id : Nat
  animal : Animal
  position : Position
  health : Nat

structure World where
  cells : Vector Cell (width * height)
  players : List Player := []
  creatures : List Creature := []
  /-- Counts the ticks. -/
  time : Nat := 0
  /-- The next id of a player or a creature. -/
  nextId : Nat := 1
  /-- What happened last, newest first. -/
  news : List String := []
  /-- Where the next random number comes from. -/
  seed : UInt64

namespace World

/-- Ticks of a day; the last third of it is night. -/
def day : Nat := 900

def isNight (world : World) : Bool :=
  world.time % day ≥ day * 2 / 3

def cell (world : World) (p : Position) : Cell :=
  world.cells[p.index]

/-- Whether somebody is there. -/
def isTaken (world : World) (p : Position) : Bool :=
  world.players.any (·.position == p) || world.creatures.any (·.position == p)

/-- Whether one can step there. -/
def isFree (world : World) (p : Position) : Bool :=
  (world.cell p).isOpen && !world.isTaken p

end World

end Game
