import Lake
open Lake DSL

package websocket

require litheRt from ".." / ".."

input_file page.html where
  path := "page.html"
  text := true

@[default_target]
lean_exe websocket where
  root := `Main
  needs := #[page.html]
