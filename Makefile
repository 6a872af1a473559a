# Everything starts here. `make dev` and `make test` do all the set-up on a fresh machine that has
# Rust, a C compiler, Python 3 with pip, and make.

export PATH := $(CURDIR)/.dev/bin:$(PATH)
# Tests of several packages start it; built once, with the features of everything else.
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
export AIRLOCK_SANDBOX_INIT := $(TARGET)/debug/airlock-sandbox-init
CARGO ?= cargo
ARGS ?=

.PHONY: help dev demo test chaos check tools bench corpus fmt conformance fuzz clean-dev

help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

dev: ## Start Temporal, Redis, the sandbox host and the worker on this machine
	@python3 scripts/tools.py servers
	@$(CARGO) build --quiet --locked --workspace --bins
	@$(TARGET)/debug/airlock dev $(ARGS)

demo: ## The same with a tour: allowed, denied, over budget, a secret, a batch
	@$(MAKE) --no-print-directory dev ARGS="--demo $(ARGS)"

test: ## All tests, on real servers
	@python3 scripts/tools.py
	@$(CARGO) build --locked --workspace --bins
	@cargo-nextest nextest run --locked --workspace $(ARGS)
	@$(CARGO) test --quiet --locked --workspace --doc

chaos: ## The crash matrix; ARGS="--runs 1000", "--list", "--help"
	@python3 scripts/tools.py servers
	@$(CARGO) build --quiet --locked --workspace --bins
	@$(TARGET)/debug/airlock-chaos $(ARGS)

check: ## Format, lints, dependency rules, spelling, documentation
	@python3 scripts/tools.py
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	cargo-deny --log-level error check bans licenses sources
	cargo-shear
	typos
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --locked --workspace --no-deps --document-private-items

tools: ## Fetch the servers and developer tools into .dev/
	@python3 scripts/tools.py

bench: ## All benches
	$(CARGO) bench --locked --workspace $(ARGS)

corpus: ## Decide the labelled corpus and write its rates to docs/reference/policy-corpus.md
	@AIRLOCK_REGENERATE=1 $(CARGO) test --quiet --locked -p airlock-policy --test corpus page
	@$(CARGO) run --quiet --locked -p airlock-policy --example judge -- --quiet crates/policy/corpus/*.jsonl

fmt: ## Format the code
	$(CARGO) fmt --all

conformance: ## Official E2B SDKs against the sandbox host
	@$(CARGO) build --quiet --locked --workspace --bins
	@python3 scripts/conformance.py $(ARGS)

fuzz: ## Every fuzz target for a minute; ARGS="paths --seconds 600" for one, ARGS=--list to see them
	@python3 scripts/fuzz.py $(ARGS)

clean-dev: ## Forget the data of `make dev`
	rm -rf .dev/data
