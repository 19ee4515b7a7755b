"""Sums up the reports of wstest and fails unless each of COUNT cases passed: verdict.py COUNT."""
from __future__ import print_function

import collections
import glob
import json
import sys

PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")

expected = int(sys.argv[1])
cases = {}
for path in glob.glob("/reports/*/index.json"):
    with open(path) as report:
        cases.update(json.load(report)["lithe"])

for what, key in (("messages", "behavior"), ("closing", "behaviorClose")):
    counts = collections.Counter(case[key] for case in cases.values())
    print("%-10s %s" % (what, ", ".join("%d %s" % (n, name) for name, n in counts.most_common())))

bad = [
    name
    for name, case in cases.items()
    if case["behavior"] not in PASSED or case["behaviorClose"] not in PASSED
]
for name in sorted(bad, key=lambda name: [int(part) for part in name.split(".")]):
    case = cases[name]
    print("not passed: %s: %s, closing %s" % (name, case["behavior"], case["behaviorClose"]))

if not cases or (expected and len(cases) != expected):
    sys.exit("autobahn: %d cases ran, %d expected" % (len(cases), expected))
if bad:
    sys.exit("autobahn: %d of %d cases not passed" % (len(bad), len(cases)))
print("autobahn: all %d cases passed" % len(cases))
