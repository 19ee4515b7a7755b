import LitheRt.Http.WebSocket.FrameProofs

/-!
What the theorems about frames rest on: Lean's own axioms. A proof left open (`sorryAx`), an axiom
of ours, or one that trusts the compiler (`native_decide`) would show here and fail the
compilation.
-/

open LitheRt

/-- info: 'LitheRt.WSFrameHeader.decode_encode' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSFrameHeader.decode_encode

/-- info: 'LitheRt.WSFrameHeader.decode_eq_some_iff' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSFrameHeader.decode_eq_some_iff

/-- info: 'LitheRt.WSFrameHeader.decode_incomplete' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSFrameHeader.decode_incomplete

/-- info: 'LitheRt.WSFrameHeader.size_encode' depends on axioms: [propext, Quot.sound] -/
#guard_msgs in #print axioms WSFrameHeader.size_encode

/-- info: 'LitheRt.WSFrame.decode_encode' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSFrame.decode_encode

/-- info: 'LitheRt.WSFrame.decode_eq_some_iff' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSFrame.decode_eq_some_iff

/-- info: 'LitheRt.WSFrame.decode_incomplete' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSFrame.decode_incomplete

/-- info: 'LitheRt.WSMask.getElem_apply' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSMask.getElem_apply

/-- info: 'LitheRt.WSMask.apply_apply' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSMask.apply_apply

/-- info: 'LitheRt.WSMask.apply_append' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms WSMask.apply_append
