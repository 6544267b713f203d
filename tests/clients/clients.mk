# The official clients that crates/portcullis-http/tests/gateway/clients.rs runs: a virtual environment and node_modules, both
# inside this directory, nothing global. Included by the Makefile at the top.

PYTHON ?= python3
NPM ?= npm

CLIENTS := tests/clients
CLIENTS_PYTHON := $(CLIENTS)/python/.venv/.installed
CLIENTS_NODE := $(CLIENTS)/node/node_modules/.installed

.PHONY: clients

clients: $(CLIENTS_PYTHON) $(CLIENTS_NODE) ## Install the official clients that the tests run.

# From scratch: what an earlier list brought does not stay behind.
$(CLIENTS_PYTHON): $(CLIENTS)/python/requirements.txt
	@command -v $(PYTHON) > /dev/null || { echo 'error: there is no `$(PYTHON)` (hint: apt install python3 python3-venv)' >&2; exit 1; }
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $<
	@touch $@

$(CLIENTS_NODE): $(CLIENTS)/node/package.json $(CLIENTS)/node/package-lock.json
	@command -v $(NPM) > /dev/null || { echo 'error: there is no `$(NPM)`; it comes with Node.js (hint: apt install npm)' >&2; exit 1; }
	$(NPM) ci --no-audit --no-fund --prefix $(CLIENTS)/node
	@touch $@
