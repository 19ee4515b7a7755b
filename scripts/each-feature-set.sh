#!/bin/sh
# Runs `cargo "$@"` on the library once for each set of features that has to work alone. Further
# arguments for the tool behind cargo come after `--`.
set -eu

arguments=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    arguments="$arguments $1"
    shift
done

for features in '' sse ws deflate server hub jwt redis endpoint tls sse,server ws,server ffi; do
    echo "features: ${features:-none}"
    # shellcheck disable=SC2086 # a list of words
    cargo $arguments --quiet --locked --package lithe-rt --lib \
        --no-default-features --features "$features" "$@"
done
