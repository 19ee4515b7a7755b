import Lake
open Lake DSL

package trial

require litheRt from ".." / ".." / "lean-bindings"

@[default_target]
lean_exe trial where
  root := `Main
