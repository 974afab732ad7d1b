# Every target sets up what it needs: a virtual environment in .venv and Meltano's plugins in .meltano.
PYTHON ?= python3
BIN := .venv/bin
ENVIRONMENT := .venv/ready
PLUGINS := .meltano/ready

.DEFAULT_GOAL := help
.PHONY: help demo test bench faults soak fuzz lint format sandbox constraints clean

help:  ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: $(PLUGINS)  ## Run the main job against the sandbox: Export API -> Meltano -> DuckDB
	$(BIN)/python -m sandbox.demo

test: $(PLUGINS)  ## Run the tests
	$(BIN)/pytest --numprocesses=auto

bench: $(PLUGINS) benchmarks/.venv/ready  ## Measure the tap beside its alternatives (some 15 minutes; ROUNDS=3 is quicker)
	$(BIN)/python -m benchmarks $(if $(ROUNDS),--rounds=$(ROUNDS))

faults: $(ENVIRONMENT)  ## Try what can go wrong, and write down what becomes of it in docs/faults.md
	$(BIN)/python -m tests.faults

soak: $(PLUGINS)  ## Sync for half an hour while all goes wrong that may (MINUTES=5 is quicker)
	$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes=$(MINUTES))

fuzz: fuzz/.venv/ready  ## Feed the readers of pages and times whatever a fuzzer thinks of (SECONDS=60 each is quicker)
	fuzz/.venv/bin/python -m fuzz pages -max_total_time=$(or $(SECONDS),300) -max_len=4096 -verbosity=0 -print_final_stats=1
	fuzz/.venv/bin/python -m fuzz times -max_total_time=$(or $(SECONDS),300) -max_len=256 -verbosity=0 -print_final_stats=1

lint: $(ENVIRONMENT)  ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(ENVIRONMENT)  ## Mend style and format as far as that can be automated
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sandbox: $(ENVIRONMENT)  ## Serve the sandbox until interrupted
	$(BIN)/python -m sandbox

constraints:  ## Pin the newest versions of the development tools that work together
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e '.[dev]'
	echo '# Versions of the development tools, known to work together. Made by: make constraints' > constraints.txt
	$(BIN)/pip freeze --exclude-editable >> constraints.txt

clean:  ## Remove what the other targets have made
	rm -rf .venv benchmarks/.venv fuzz/.venv .meltano output/demo .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(ENVIRONMENT): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(PLUGINS): $(ENVIRONMENT) meltano.yml
	$(BIN)/meltano install
	touch $@

fuzz/.venv/ready: fuzz/requirements.txt pyproject.toml
	$(PYTHON) -m venv fuzz/.venv
	fuzz/.venv/bin/pip install --quiet --constraint constraints.txt --requirement fuzz/requirements.txt --editable .
	touch $@

benchmarks/.venv/ready: benchmarks/requirements.txt
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/pip install --quiet --requirement benchmarks/requirements.txt
	touch $@
