#!/bin/sh
# Fuzzes each target for FUZZ_SECONDS (60 unless set), or only the targets named, as many at once as
# there are processors. A stable compiler is enough. An input that fails is printed, and kept in
# fuzz/artifacts.
set -eu
cd "$(dirname "$0")/../fuzz"

[ $# -gt 0 ] || set -- $(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' Cargo.toml)
command -v "${CXX:-c++}" >/dev/null || {
    echo "Fuzzing needs a C++ compiler for libFuzzer: apt-get install g++" >&2
    exit 1
}

# What tells libFuzzer which code an input reaches. With --target, build scripts go without.
flags='--cfg fuzzing -Cpasses=sancov-module'
for option in level=4 inline-8bit-counters pc-table; do
    flags="$flags -Cllvm-args=-sanitizer-coverage-$option"
done
host=$(rustc -vV | sed -n 's/^host: //p')
# shellcheck disable=SC2046 # a list of words
RUSTFLAGS=$flags CARGO_TARGET_DIR=target \
    cargo build --release --locked --target "$host" $(printf -- '--bin %s ' "$@")

mkdir -p artifacts
# shellcheck disable=SC2016 # expanded for each target
printf '%s\n' "$@" | xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 1 sh -c '
    mkdir -p "corpus/$2"
    log=target/$2.log
    echo "Fuzzing $2 for $1 seconds"
    if "target/$0/release/$2" -artifact_prefix="artifacts/$2-" -max_total_time="$1" \
        -max_len=65536 -rss_limit_mb=2048 "corpus/$2" >"$log" 2>&1; then
        echo "$2: $(tail -n 1 "$log")"
    else
        tail -n 100 "$log"
        input=$(sed -n "s/.*Test unit written to //p" "$log")
        echo "$2 has failed. Its input is in fuzz/$input, in base64:"
        base64 "$input"
        exit 1
    fi
' "$host" "${FUZZ_SECONDS:-60}"
