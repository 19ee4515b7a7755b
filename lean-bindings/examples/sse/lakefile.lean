import Lake
open Lake DSL

package sse

require litheRt from ".." / ".."

input_file page.html where
  path := "page.html"
  text := true

@[default_target]
lean_exe sse where
  root := `Main
  needs := #[page.html]
