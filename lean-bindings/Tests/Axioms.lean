import Lean.Elab.Command
import Lean.Util.CollectAxioms
import LitheRt
import LitheRt.Http.SSE.Proofs
import LitheRt.Http.WebSocket.FrameProofs

/-!
No declaration of the package rests on anything but Lean's own axioms: nothing is left open
(`sorryAx`), nothing is assumed, nothing trusts the compiler (`native_decide`).
-/

open Lean Elab Command

run_cmd
  let env ← getEnv
  let modules := env.header.moduleNames.zip env.header.moduleData
  let own := modules.filter fun (module, _) => `LitheRt |>.isPrefixOf module
  let names := own.flatMap (·.2.constNames)
  let axioms := (names.forM CollectAxioms.collect |>.run env |>.run {}).2.axioms
  let foreign := axioms.filter (!#[``propext, ``Quot.sound, ``Classical.choice].contains ·)
  if names.isEmpty || !foreign.isEmpty then
    throwError "of {names.size} declarations some rest on {foreign}"
