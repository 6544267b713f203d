# The two commands: `make demo` and `make test`. Everything they need is put into this directory, nothing global.

CARGO ?= cargo
NPM ?= npm
# Flags for `make demo`, such as ARGS='--bind 127.0.0.1:9000'.
ARGS ?=

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
CODEX := tools/codex/node_modules/.bin/codex
# npm writes this file last, so it is older than the lock file whenever the lock file has changed since.
CODEX_INSTALLED := tools/codex/node_modules/.package-lock.json

include tests/clients/clients.mk

.DEFAULT_GOAL := help
.PHONY: help demo build codex bench bench-litellm faults test lint

help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: codex build ## Start the gateway on the built-in demo model. No login, no configuration.
	@exec '$(TARGET_DIR)/release/portcullis' demo --codex-bin $(CODEX) $(ARGS)

build: ## Build the gateway.
	$(CARGO) build --release --locked -p portcullis

codex: $(CODEX_INSTALLED) ## Put the pinned Codex CLI into tools/codex.

$(CODEX_INSTALLED): tools/codex/package-lock.json
	@command -v $(NPM) > /dev/null || { echo 'error: there is no `$(NPM)`; it comes with Node.js (hint: apt install npm)' >&2; exit 1; }
	$(NPM) ci --no-audit --no-fund --prefix tools/codex
	@touch $@

# The gateway is built alone, as `make build` does: what is measured is what is shipped.
bench: codex build ## Measure the gateway; ARGS=--quick only shows that the measurements work.
	$(CARGO) build --release --locked -p portcullis-bench
	'$(TARGET_DIR)/release/portcullis-bench' measure --commit "$$(git rev-parse --short HEAD)" $(ARGS)

bench-litellm: $(TARGET_DIR)/bench-venv/.installed ## Install LiteLLM's proxy for `make bench`.

$(TARGET_DIR)/bench-venv/.installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'litellm[proxy]==1.106.2'
	@touch $@

faults: codex build ## Break things under load for minutes; ARGS='--seed N' repeats a schedule.
	$(CARGO) build --release --locked -p portcullis-bench
	'$(TARGET_DIR)/release/portcullis-bench' faults $(ARGS)

test: codex clients ## Run all tests, against the real Codex and with the official clients.
	@if $(CARGO) nextest --version > /dev/null 2>&1; then set -x; $(CARGO) nextest run --workspace --locked --no-fail-fast; \
	else set -x; $(CARGO) test --workspace --locked --no-fail-fast; fi

lint: ## Check formatting and lints.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
