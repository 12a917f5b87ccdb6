# Two commands are enough: `make demo` and `make test`.  Both make `.venv` first if it is not there.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := core replication rpc ops tests loadtests protos/generate.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types imports protos unit fuzz sim bench clean

help: ## Show what can be made.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: .venv/.installed ## Make the virtual environment .venv and install Steelyard in it.

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Steelyard needs Python 3.11 or newer; found: $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "==> making .venv and installing what Steelyard needs (about a minute, the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,plots]'
	@touch $@

demo: setup ## Start a group of three, trade, kill its leader, and judge what happened.
	@$(BIN)/steelyard demo

test: setup lint types imports protos unit ## Every check: lint, types, import contracts, generated code, tests.
	@echo "==> all checks passed"

lint: setup
	@echo "==> ruff: style and common mistakes"
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --check --quiet $(SOURCES)

types: setup
	@echo "==> mypy: types, strict"
	@$(BIN)/mypy --no-error-summary

imports: setup
	@echo "==> import-linter: who may import whom"
	@$(BIN)/lint-imports --no-cache > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

protos: setup
	@echo "==> protos: is the generated code fresh?"
	@$(BIN)/python protos/generate.py --check

unit: setup
	@echo "==> pytest: unit, property, golden, tidy and integration tests"
	@$(BIN)/python -m pytest --quiet --numprocesses 3 --dist worksteal

fuzz: setup ## The long proof: the fast exchange against its naive twin, a million commands.
	@$(BIN)/python -m tests.fuzz --commands 1000000

sim: setup ## The long proof of replication: thousands of simulated groups with every fault there is.
	@$(BIN)/steelyard sim --seeds 10000 --faults all

bench: setup ## The figures: the core alone, replication alone, and a whole group end to end.
	@$(BIN)/steelyard bench core
	@$(BIN)/python loadtests/micro/bench_replication.py --seconds 2 --rounds 3
	@$(BIN)/steelyard bench e2e

clean: ## Remove .venv and every cache.
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
