# make demo   install, train on the embedded data, evaluate, predict
# make test   install with the dev extras, lint, types, tests
# make bench  the measurements of README and docs/results.md, but for imdb-best
# make lock   write constraints.txt anew after a change of dependencies; UPGRADE=1 takes the newest versions

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export LSTM_RUNS_DIR ?= runs
# Packages come in the versions of constraints.txt. The variables hold what builds a package (hatchling) to them as well:
# pip before 25.3 reads PIP_CONSTRAINT there, later versions read PIP_BUILD_CONSTRAINT.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
  $(BIN)/python -m pip install --quiet -c constraints.txt

.PHONY: help install demo test lint format types unit slow docs bench lock clean

help:
	@sed -n 's/^# //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "lstm needs Python 3.11 or newer, found $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The marker files say what was installed, and from which version of pyproject.toml and constraints.txt.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

install: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/lstm train demo
	$(BIN)/lstm eval demo --errors 3
	$(BIN)/lstm predict "It is very dull, but it is very moving." \
	  "It is very dull, though it is very moving."

test: lint unit

lint: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python docs/cli.py --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto

slow: $(VENV)/.installed-dev
	$(BIN)/pytest -m slow

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/cli.py

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# One version of a package for all Pythons and platforms where there is one, so that what CI tests is what others install.
# Without hashes: where a requirement or constraint has one, pip refuses to install a folder, and so the project itself.
# hatchling and editables are what builds it; they stand in no list of dependencies that uv reads.
lock: | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	printf 'hatchling\neditables\n' | $(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	  --all-extras $(if $(UPGRADE),--upgrade) --annotation-style line --custom-compile-command 'make lock' \
	  --output-file constraints.txt pyproject.toml - >/dev/null

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
