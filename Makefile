# Lithe. `make demo` shows it, `make test` checks it, `make help` lists the rest.
# A Rust toolchain (1.88 or newer), a C compiler, make and git are all that has to be there.

CARGO ?= cargo
CC ?= cc
CXX ?= c++
LAKE ?= lake
CFLAGS ?= -O2 -g -Wall -Wextra -Wpedantic
CXXFLAGS ?= $(CFLAGS)

# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)
C_LIBRARY := $(TARGET)/release/liblithe.a
C_EXAMPLES := $(patsubst examples/c/%.c,$(TARGET)/c/%,$(wildcard examples/c/*.c))
C_BENCHES := $(patsubst bench/c/%.c,$(TARGET)/bench-c/%,$(wildcard bench/c/*.c))
CPP_EXAMPLES := $(patsubst examples/cpp/%.cpp,$(TARGET)/cpp/%,$(wildcard examples/cpp/*.cpp))

# Only Linux has epoll.
LINUX_ONLY := $(TARGET)/c/epoll_loop
ifneq ($(shell uname -s),Linux)
C_EXAMPLES := $(filter-out $(LINUX_ONLY),$(C_EXAMPLES))
LEFT_OUT := $(LINUX_ONLY)
endif

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: demo
demo: $(TARGET)/c/chat ## Build and run the chat: a program in C whose page misses nothing, also when it is killed and started again
	@$(TARGET)/c/chat

.PHONY: lib
lib: ## Build the C library: liblithe.a and liblithe.so
	$(CARGO) build --release --locked --lib --features ffi

.PHONY: examples
examples: $(C_EXAMPLES) $(CPP_EXAMPLES) ## Build the examples in C, C++ and Rust
	$(CARGO) build --locked --examples
	@for example in $(LEFT_OUT); do echo "$$example is left out: only Linux has epoll"; done

# cargo knows best when the library is stale, so make always asks it.
.PHONY: FORCE
$(C_LIBRARY): FORCE
	@$(MAKE) --no-print-directory lib

$(TARGET)/c/%: examples/c/%.c include/lithe.h $(C_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -std=c11 -pthread -Iinclude -o $@ $(abspath $<) $(C_LIBRARY) -lpthread -ldl -lm

$(TARGET)/bench-c/%: bench/c/%.c include/lithe.h $(C_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -std=c11 -pthread -Iinclude -o $@ $(abspath $<) $(C_LIBRARY) -lpthread -ldl -lm

$(TARGET)/cpp/%: examples/cpp/%.cpp include/lithe.h include/lithe.hpp $(C_LIBRARY)
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -std=c++11 -pthread -Iinclude -o $@ $(abspath $<) $(C_LIBRARY) -lpthread -ldl -lm

.PHONY: test
test: test-deps check-features check-fuzz ## Run every test; installs what the tests need where it may
	@$(MAKE) --no-print-directory run-tests

.PHONY: run-tests
run-tests:
	$(CARGO) test --workspace --all-features --locked --no-fail-fast
	@if command -v $(LAKE) >/dev/null; then $(MAKE) --no-print-directory test-lean; \
	else echo "lean-bindings: NOT TESTED, there is no Lean toolchain (elan) here"; fi

.PHONY: test-lean
test-lean: ## Run the tests of the Lean bindings (needs a Lean toolchain, as elan installs it)
	cd lean-bindings && CARGO_TARGET_DIR=$(abspath $(TARGET)) $(LAKE) build
	cd lean-bindings && CARGO_TARGET_DIR=$(abspath $(TARGET)) $(LAKE) test
	$(CARGO) test --package lithe-ffi-tests --test lean --locked --no-fail-fast -- --include-ignored

.PHONY: test-deps
test-deps: ## Install the Debian packages that the tests run against (needs root or sudo)
	scripts/install-test-deps.sh

.PHONY: check-features
check-features: ## Check that every feature compiles without the others
	scripts/each-feature-set.sh check

.PHONY: check-fuzz
check-fuzz: ## Check that the fuzz targets compile
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --target-dir $(TARGET) --locked -- -D warnings

.PHONY: lint
lint: check-fuzz ## Check formatting, and clippy without a warning
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	scripts/each-feature-set.sh clippy -- -D warnings

.PHONY: docs
docs: ## Build the Rust documentation without a warning
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --package lithe-rt --all-features --no-deps --locked

.PHONY: header
header: ## Generate include/lithe.h from the Rust sources
	LITHE_UPDATE_HEADER=1 $(CARGO) check --locked --package lithe-rt --lib --features ffi

.PHONY: bench
bench: $(TARGET)/c/echo $(TARGET)/c/hub $(C_BENCHES) ## Measure echo, fan-out and memory beside a bare TCP echo and axum
	$(CARGO) build --release --locked --package lithe-bench
	$(TARGET)/release/lithe-bench $(BENCH)

include packaging/install.mk

.PHONY: autobahn
autobahn: ## Run the Autobahn conformance suite, all 517 cases (needs root and debootstrap)
	scripts/autobahn/run.sh

.PHONY: fuzz
fuzz: ## Fuzz each target for a minute, or those of FUZZ='cursor token' (needs a C++ compiler)
	scripts/fuzz.sh $(FUZZ)

.PHONY: miri
miri: ## Run what looks after handles and memory in Miri (needs a nightly toolchain with it)
	scripts/miri.sh
