# Everything a person types. The first target that needs them installs the pinned dependencies
# into .venv and node_modules; nothing is installed outside this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := .tools/bin/uv
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

.PHONY: demo test check unit contracts-test bench setup artifacts anvil lock format clean

demo: setup
	@$(BIN)/ainur demo

test: check unit contracts-test

check: setup
	@scripts/check

# Half as many again as processors, at most 4: daemons in tests often wait for each other.
WORKERS := $(shell $(PYTHON) -c "import os; print(max(1, min(4, (os.cpu_count() or 1) * 3 // 2)))")

unit: setup
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

contracts-test: setup
	$(BIN)/npx hardhat test

bench: setup
	$(BIN)/python -m benchmarks.engine

artifacts: setup
	$(BIN)/npx hardhat build --no-tests
	$(BIN)/python scripts/export_artifacts.py
	$(BIN)/python scripts/export_snapshots.py

# Optional, 19 MB to fetch: the EVM node of a devnet that is kept (`ainur devnet --folder`).
anvil: setup
	$(BIN)/npm install --prefix scripts/anvil --ignore-scripts --no-audit --no-fund --loglevel=error

format: setup
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	$(BIN)/npx prettier --log-level warn --write contracts "tests/contracts/**/*.sol" hardhat.config.js "scripts/*.mjs"

lock: .tools/stamp
	$(UV) pip compile pyproject.toml --group dev --extra pocl --universal --generate-hashes \
	    --no-emit-index-url --no-header --quiet -o requirements.lock

setup: $(VENV)/stamp node_modules/.stamp

.tools/stamp: scripts/uv.lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo "error: Python 3.11 to 3.13 is needed; name one: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/stamp: .tools/stamp requirements.lock pyproject.toml
	@echo "installing the pinned Python packages into $(VENV)"
	@$(UV) venv --quiet --allow-existing --python .tools/bin/python $(VENV)
	@$(UV) pip sync --quiet --require-hashes requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

node_modules/.stamp: $(VENV)/stamp package.json package-lock.json
	@echo "installing the pinned contract packages into node_modules"
	@$(BIN)/npm install --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .venv .tools node_modules artifacts cache coverage .demo .mypy_cache .pytest_cache \
	    .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
