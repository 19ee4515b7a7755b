import LitheRt.Http.SSE.Proofs

/-!
What the theorems about events rest on: Lean's own axioms. A proof left open (`sorryAx`), an axiom
of ours, or one that trusts the compiler (`native_decide`) would show here and fail the
compilation.
-/

open LitheRt

/-- info: 'LitheRt.SSEEvent.format_lines' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.format_lines

/-- info: 'LitheRt.SSEEvent.exists_field_of_mem_lines' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.exists_field_of_mem_lines

/-- info: 'LitheRt.SSEEvent.format_blank_lines' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.format_blank_lines

/-- info: 'LitheRt.SSEEvent.parse_format' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.parse_format

/-- info: 'LitheRt.SSEEvent.parse_join' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.parse_join

/-- info: 'LitheRt.SSEEvent.parse_append' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.parse_append

/-- info: 'LitheRt.SSEEvent.receive_format' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.receive_format

/-- info: 'LitheRt.SSEEvent.normalized_eq_of_format_eq' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.normalized_eq_of_format_eq

/-- info: 'LitheRt.SSEEvent.Fields.normalized_eq_self' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.Fields.normalized_eq_self

/-- info: 'LitheRt.SSEEvent.check_eq_ok' depends on axioms: [propext, Classical.choice, Quot.sound] -/
#guard_msgs in #print axioms SSEEvent.check_eq_ok
