#!/bin/bash
# Runs the Autobahn test suite (https://github.com/crossbario/autobahn-testsuite) against
# examples/ws_echo.rs, with permessage-deflate on. Passes only if all 517 cases ran and none
# failed or was refused as unimplemented. Takes about five minutes; `run.sh 'CASE'...` runs fewer
# cases, for example `run.sh '5.*' 7.1.1`.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
root=$target/autobahn/bullseye
[ -e "$root/opt/ready" ] || scripts/autobahn/setup.sh "$root"

cargo build --release --locked --example ws_echo
coproc SERVER { exec "$target/release/examples/ws_echo" 127.0.0.1:0; }
server=$SERVER_PID
trap 'kill "$server" 2>/dev/null' EXIT
read -r url <&"${SERVER[0]}"
echo "server at $url"

# wstest GROUP CASES EXCLUDED: runs cases, given as a JSON list, inside the chroot.
reports=$root/reports
rm -rf "$reports"
mkdir "$reports"
wstest() {
    cat >"$reports/$1.json" <<JSON
{"outdir": "/reports/$1", "servers": [{"agent": "lithe", "url": "$url"}],
 "cases": $2, "exclude-cases": $3, "exclude-agent-cases": {}}
JSON
    chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/root LANG=C.UTF-8 \
        wstest --mode fuzzingclient --spec "/reports/$1.json" >"$reports/$1.log" 2>&1 || {
        echo "wstest failed, see $reports/$1.log" >&2
        return 1
    }
}

if [ $# -gt 0 ]; then
    expected=0
    wstest some "$(printf '"%s",' "$@" | sed 's/.*/[&]/; s/,]/]/')" '[]'
else
    # In two halves that take about as long as each other, one per core.
    expected=517
    wstest core '["*"]' '["12.*", "13.*"]' &
    core=$!
    wstest deflate '["12.*", "13.*"]' '[]'
    wait "$core"
fi
chroot "$root" python2.7 - "$expected" <scripts/autobahn/verdict.py
echo "report: $reports/*/index.html"
