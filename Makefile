# Everything Takt needs is installed below this folder; nothing system-wide. `make help` lists the targets.
SHELL := /bin/sh
VENV ?= .venv
PY := $(VENV)/bin/python
UV_VERSION := 0.13.9
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean lock assets

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# -- what the targets need -----------------------------------------------------------------------
$(VENV)/.uv:
	@python=$$(infra/local/find_python) && $$python -m venv $(VENV) \
	  && $(PY) -m pip install -q --disable-pip-version-check uv==$(UV_VERSION) && touch $@

$(VENV)/.runtime: $(VENV)/.uv requirements.lock
	@echo "Installing Takt's libraries into $(VENV) ..."
	@$(VENV)/bin/uv pip install -q -p $(PY) --require-hashes -r requirements.lock && touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing what the tests need ..."
	@$(VENV)/bin/uv pip install -q -p $(PY) --require-hashes -r requirements-dev.lock && touch $@

lock: $(VENV)/.uv ## Resolve the libraries again and write both lock files.
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -o requirements.lock pyproject.toml
	$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

# -- the portal's browser code; Node comes from PyPI where the machine has none --------------------
assets: $(VENV)/.runtime ## Build the portal's browser code where it changed.
	@$(PY) -m infra.local.build_frontend

demo: assets ## Start Takt with two demo factories and leave it running (ONCE=1, DATA=<folder>).
	@$(PY) -m config.demo $(if $(ONCE),--once) $(if $(DATA),--data $(DATA))

test: $(VENV)/.dev assets ## Run all tests (FAST=1: those that take no seconds).
	@tests/run $(if $(FAST),--fast)

bench: $(VENV)/.dev assets ## Run the benchmarks (AREA=ingest for one) and write var/bench/*.json.
	@$(PY) -m tests.bench $(AREA)

check: $(VENV)/.dev assets ## Lint, types, floors, missing migrations, deployment settings.
	@infra/local/check

clean: ## Remove everything that was made here, data included.
	rm -rf $(VENV) node_modules frontend/static/dist var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
