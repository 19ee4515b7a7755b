#!/bin/sh
# Fuzzes each target for FUZZ_SECONDS (60 unless set), or only the targets named. Inputs that fail
# are kept in fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."

lacks() {
    echo "Fuzzing needs $1: $2" >&2
    exit 1
}
cargo +nightly --version >/dev/null 2>&1 ||
    lacks "a nightly compiler" "rustup toolchain install nightly"
cargo +nightly fuzz --version >/dev/null 2>&1 ||
    lacks "cargo-fuzz" "cargo install cargo-fuzz --locked"
command -v "${CXX:-c++}" >/dev/null ||
    lacks "a C++ compiler for libFuzzer" "apt-get install g++"

targets=${*:-$(cargo +nightly fuzz list)}
for target in $targets; do
    echo "Fuzzing $target"
    cargo +nightly fuzz run "$target" -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -rss_limit_mb=2048
done
