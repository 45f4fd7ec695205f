# Everything people and CI do here. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# Point it at a directory that outlives the clone to build in seconds instead of minutes.
export CARGO_TARGET_DIR ?= $(CURDIR)/target

# Further arguments for what the target runs, for example: make up ARGS=--ephemeral
ARGS ?=
# The orders of `make demo`.
ORDERS ?= crates/oms/data/orders-sample.csv

TOOL := scripts/tools.sh
OMS := cargo run --release --locked --package oms --
SERVICES := order inventory fulfillment shipping returns

##@ Use
.PHONY: demo up verify bench backup-drill clean-data
demo: setup ## Takes the sample orders to cash, prints what happened and proves the books
	$(OMS) demo --orders $(ORDERS) $(ARGS)

up: setup ## Runs all services, on a Postgres and a Redis of their own below .oms/
	$(OMS) up $(ARGS)

verify: setup ## Proves the books of the services below .oms/
	$(OMS) verify $(ARGS)

bench: setup ## Measures stock reservations beside the same work in plain SQL (ARGS='--only hot' for one measure)
	$(OMS) bench reservations $(ARGS)

backup-drill: setup ## Loses a Postgres in the middle of orders and brings all five databases back to one moment
	@scripts/backup-drill.sh $(ARGS)

clean-data: ## Forgets the data below .oms/ (asks nothing; downloaded engines stay)
	@scripts/clean-data.sh

##@ Test
.PHONY: test $(SERVICES:%=test-%) sim crash soak tidy ci
test: setup ## Runs every test
	@scripts/test.sh

$(SERVICES:%=test-%): test-%: setup ## Runs the tests of one service: test-order, test-inventory ..
	@scripts/test.sh oms-$* $(ARGS)

sim: setup ## Simulates the five services' pure cores (SEED=7: one seed with its history; ARGS: --seeds, --from, --sabotage)
	@cargo run --release --locked --quiet --package oms-sim -- $(if $(SEED),--seed $(SEED)) $(ARGS)

crash: setup ## Sales, orders, payments and feeds while engines and services die (the long form; ARGS: --seed, --rounds, --only, --release)
	@scripts/crash.sh $(ARGS)

soak: setup ## Orders at 70 % load for half an hour; fails when memory or a backlog grows (ARGS: --minutes, --seed, --json, --debug)
	@scripts/soak.sh $(ARGS)

# Compiled by itself: two seconds, where the package takes all services with it. `make test` runs it too.
tidy: setup ## Checks the house rules: imports, crate arrows, SQL, migrations, sizes, docs
	@mkdir -p "$(CARGO_TARGET_DIR)"
	@CARGO_MANIFEST_DIR="$(CURDIR)/tests" rustc --edition 2024 --test tests/tests/tidy/main.rs -o "$(CARGO_TARGET_DIR)/tidy"
	@RUST_BACKTRACE=0 "$(CARGO_TARGET_DIR)/tidy" --quiet

# In the order in which it fails soonest.
CI_STEPS := fmt-check tidy lint-scripts lint-images lint proto-lint proto-breaking deny test rules chart check-generated

ci: ## What CI runs, in its order
	@scripts/ci.sh $(CI_STEPS)

##@ Check
.PHONY: fmt fmt-check lint lint-scripts deny advisories proto-lint proto-breaking
fmt: setup ## Formats Rust and proto files
	cargo fmt --all
	@buf=$$($(TOOL) buf); "$$buf" format --write

fmt-check: setup ## Checks the format of Rust and proto files
	cargo fmt --all --check
	@buf=$$($(TOOL) buf); "$$buf" format --diff --exit-code

lint: setup ## Runs clippy, warnings are errors
	cargo clippy --workspace --all-targets --locked -- -D warnings

lint-scripts: ## Runs shellcheck over the scripts
	@if shellcheck=$$($(TOOL) shellcheck); then "$$shellcheck" --external-sources scripts/*.sh .ci/run; \
	else echo "no shellcheck for this machine: skipped"; fi

deny: setup ## Checks the dependency tree: bans, licences, sources
	@deny=$$($(TOOL) cargo-deny); "$$deny" --locked check bans licenses sources

# Not in CI: the list lives outside and changes by itself.
advisories: setup ## Compares Cargo.lock with the RustSec advisories (fetches them; ARGS=--offline takes those fetched before)
	@deny=$$($(TOOL) cargo-deny); "$$deny" --locked $(ARGS) check advisories

proto-lint: ## Lints the contract
	@buf=$$($(TOOL) buf); "$$buf" lint

proto-breaking: ## Checks that the contract has not broken since the last release
	@scripts/proto-breaking.sh

lint-images: ## Runs hadolint over the Dockerfile
	@hadolint=$$($(TOOL) hadolint); "$$hadolint" --failure-threshold warning Dockerfile

##@ Images
.PHONY: images images-test sbom lint-images
images: setup ## Builds an image per service and one of the oms command (ARGS: --full, --base IMAGE, --tag TAG)
	@scripts/images.sh build $(ARGS)

images-test: setup ## Runs the images by Docker or podman, unprivileged and read-only, and takes an order to cash through them
	@scripts/images.sh test

sbom: setup ## Writes a CycloneDX list of parts per program below target/sbom/
	@scripts/sbom.sh

##@ Generated files
.PHONY: generate check-generated sqlx-prepare sqlx-check rules chart chart-update
generate: sqlx-prepare chart-update ## Rewrites every generated file in the repository

check-generated: sqlx-check ## Checks that every generated file says what its source says
	@scripts/chart.sh goldens
	@scripts/clean-tree.sh

sqlx-prepare: setup ## Rewrites the query caches (.sqlx) from sources and migrations
	@scripts/sqlx.sh prepare $(ARGS)

sqlx-check: setup ## Checks the query caches (.sqlx)
	@scripts/sqlx.sh check $(ARGS)

rules: ## Checks and tests the Prometheus rules, and that alerts have runbooks
	@scripts/rules.sh

chart: ## Lints, renders and validates the chart, and compares it with k8s/
	@scripts/chart.sh all

chart-update: ## Rewrites k8s/ from the chart
	@scripts/chart.sh update

##@ About
.PHONY: setup help
setup:
	@scripts/setup.sh

help: ## Lists the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[^#:]+:.*## / { \
	    name = $$1; sub(/:.*/, "", name); \
	    if (name ~ /SERVICES/) name = "test-<service>"; \
	    printf "  %-18s %s\n", name, $$2 }' $(firstword $(MAKEFILE_LIST))
