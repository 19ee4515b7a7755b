import Lake
open Lake DSL

package combined

require litheRt from ".." / ".."

input_file page.html where
  path := "page.html"
  text := true

/-- The game itself, which knows nothing of servers. -/
lean_lib Game

@[default_target]
lean_exe combined where
  root := `Main
  needs := #[page.html]
