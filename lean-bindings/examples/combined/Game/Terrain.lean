import Game.World

/-!
# Terrain

Water, beaches, meadows, woods and mountains, out of a seed. The same seed gives the same world.
-/

namespace Game

/-- The next state of the generator, and a random number (splitmix64). -/
def splitmix (state : UInt64) : UInt64 × UInt64 :=
  let state := state + 0x9E3779B97F4A7C15
  let z := (state ^^^ (state >>> 30)) * 0xBF58476D1CE4E5B9
  let z := (z ^^^ (z >>> 27)) * 0x94D049BB133111EB
  (state, z ^^^ (z >>> 31))

namespace Terrain

/-- A random number from 0 to 1 that belongs to a point. -/
private def at_ (seed : UInt64) (x y : Nat) : Float :=
  let mixed := (splitmix (seed + x.toUInt64 * 0x1F123BB5 + y.toUInt64 * 0x5851F42D4C957F2D)).2
  (mixed >>> 11).toFloat / 9007199254740992.0

/-- Hills and valleys from 0 to 1, some `size` cells wide: random numbers on a coarse grid, and a
smooth way between them. -/
private def hills (seed : UInt64) (size x y : Nat) : Float :=
  let part (n : Nat) :=
    let t := (n % size).toFloat / size.toFloat
    t * t * (3 - 2 * t)
  let (cx, cy, tx, ty) := (x / size, y / size, part x, part y)
  let mix (a b t : Float) := a + (b - a) * t
  mix (mix (at_ seed cx cy) (at_ seed (cx + 1) cy) tx)
    (mix (at_ seed cx (cy + 1)) (at_ seed (cx + 1) (cy + 1)) tx) ty

private def cell (seed : UInt64) (p : Position) : Cell :=
  let (x, y) := (p.x.val, p.y.val)
  let water := 0.7 * hills seed 8 x y + 0.3 * hills (seed + 1) 4 x y
  let mountain := 0.75 * hills (seed + 2) 9 x y + 0.25 * hills (seed + 3) 4 x y
  let luck := at_ (seed + 4) x y
  if mountain > 0.56 then
    if mountain > 0.66 && luck > 0.95 then .diamond
    else if mountain > 0.6 && luck > 0.9 then .iron
    else if luck > 0.84 then .coal
    else if hills (seed + 5) 5 x y > 0.68 then .path
    else .stone
  else if water > 0.62 then .water
  else if water > 0.56 then .sand
  else if hills (seed + 6) 6 x y > 0.45 && luck > 0.72 then .tree
  else .grass

/-- Whether there is enough of everything. -/
private def isPlayable (cells : Vector Cell (width * height)) : Bool :=
  [(Cell.grass, 250), (.tree, 25), (.water, 30), (.stone, 80), (.coal, 6), (.iron, 4),
    (.diamond, 2)].all fun (cell, least) => cells.count cell ≥ least

end Terrain

/-- A new world: of that seed, or of the first one after it that has enough of everything. -/
def World.generate (seed : UInt64) : World :=
  let of_ (seed : UInt64) : Vector Cell (width * height) :=
    .ofFn fun i => Terrain.cell seed (.ofIndex i)
  let seeds := (List.range 500).map (seed + ·.toUInt64 * 1000)
  let found := seeds.find? fun seed => Terrain.isPlayable (of_ seed)
  { cells := of_ (found.getD seed), seed }

end Game
