import Lake
open System Lake DSL

/-! Builds the Rust library and the shim, and has both linked into every program that imports
`LitheRt`. A prebuilt library is taken from the directory `LITHE_LIB_DIR`, if that is set. -/

package litheRt where
  version := v!"0.1.0"

input_file lithe_lean.c where
  path := "native" / "lithe_lean.c"
  text := true

input_file lithe.h where
  path := ".." / "include" / "lithe.h"
  text := true

/-- The shim, compiled against Lean's header and the library's. It includes no header of the C
library, so that Lean's own compiler suffices. -/
target lithe_lean.o pkg : FilePath := do
  let source := (← lithe_lean.c.fetch).zipWith (fun source _ => source) (← lithe.h.fetch)
  let include_ := (pkg.dir / ".." / "include").toString
  buildLeanO (pkg.buildDir / "native" / "lithe_lean.o") source #["-I", include_]
    #["-fPIC", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"]

/-- Has cargo build the library, which it does only when something has changed, and says where it
is. -/
def cargoBuild (workspace : FilePath) : JobM FilePath := do
  unless ← (workspace / "Cargo.toml").pathExists do
    error s!"{workspace} is no checkout of Lithe: set LITHE_LIB_DIR to the directory of liblithe.a"
  let output := workspace / ((← IO.getEnv "CARGO_TARGET_DIR").getD "target")
  proc (quiet := true) {
    cmd := (← IO.getEnv "CARGO").getD "cargo"
    args := #["build", "--release", "--locked", "--lib", "--features", "ffi",
      "--target-dir", output.toString]
    cwd := workspace
  }
  match ← IO.getEnv "CARGO_BUILD_TARGET" with
  | some triple => return output / triple / "release"
  | none => return output / "release"

/-- The Rust library. -/
target liblithe_a pkg : FilePath := do
  let directory : Job FilePath ← Job.async do
    match ← IO.getEnv "LITHE_LIB_DIR" with
    | some directory => return FilePath.mk directory
    | none => cargoBuild (← IO.FS.realPath (pkg.dir / ".."))
  directory.bindM fun directory => inputBinFile (directory / nameToStaticLib "lithe")

@[default_target]
lean_lib LitheRt where
  globs := #[.andSubmodules `LitheRt]
  moreLinkObjs := #[lithe_lean.o, liblithe_a]

/-- The tests, of which most are checked by compiling them. -/
lean_lib Tests where
  globs := #[.submodules `Tests]

/-- Runs those that run. -/
@[test_driver]
lean_exe tests where
  root := `RunTests
  needs := #[Tests]
