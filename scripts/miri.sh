#!/bin/sh
# Runs what looks after memory of the host's, and after handles, in Miri, which finds undefined
# behaviour, data races and leaks. Or only the tests named. Miri has no sockets, and is slow.
set -eu
cd "$(dirname "$0")/.."

cargo +nightly miri --version >/dev/null 2>&1 || {
    echo "This needs Miri: rustup toolchain install nightly --component miri,rust-src" >&2
    exit 1
}

[ $# -gt 0 ] || set -- ffi::handle ffi::message ffi::convert ffi::owned ffi::options ffi::error \
    ffi::block_on transport::cork transport::events ws::shared::inbound server::inbox::routes \
    server::inbox::tests
exec cargo +nightly miri test --locked --package lithe-rt --lib --features ffi -- "$@"
