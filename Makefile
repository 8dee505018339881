# make demo   install, train on the embedded data, evaluate, predict
# make test   install with the dev extras, lint, types, tests
# make bench  the measurements of README and docs/results.md, but for imdb-best

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export LSTM_RUNS_DIR ?= runs

.PHONY: help install demo test lint format types unit slow docs bench clean

help:
	@sed -n 's/^# //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "lstm needs Python 3.11 or newer, found $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The marker files say what was installed, and from which version of pyproject.toml.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
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
	$(BIN)/python docs/cli.py --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(VENV)/.installed-dev
	$(BIN)/pytest

slow: $(VENV)/.installed-dev
	$(BIN)/pytest -m slow

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/cli.py

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
