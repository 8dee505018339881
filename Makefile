# make demo   install, train on the embedded data, evaluate, predict
# make test   install with the dependency group dev, lint, types, tests
# make bench  the measurements of README and docs/results.md, but for imdb-best
# make wheel  build dist/, and try the wheel in a fresh environment without TensorFlow; PYTHONS="python3.12 ..." names others
# make lock   write constraints.txt and deploy/*.txt after a change of dependencies; UPGRADE=1 takes the newest versions
# make predict-env VENV=DIR [SERVE=1]   an environment that only uses runs, without TensorFlow

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export LSTM_RUNS_DIR ?= runs
# Packages come in the versions of constraints.txt. The variables hold what builds a package (hatchling) to them as well:
# pip before 25.3 reads PIP_CONSTRAINT there, later versions read PIP_BUILD_CONSTRAINT.
# Byte code is written when a module is imported: most of them never are.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
  $(BIN)/python -m pip install --quiet --no-compile -c constraints.txt

# What the tests need: these extras, and the group dev of pyproject.toml. `pip install --group` needs pip 25.1; a new environment
# of Python 3.11 or 3.12 has an older one.
DEV_EXTRAS := serve,jax,parquet,tune,ray,litert
DEV_GROUP := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")

.PHONY: help install demo test lint format types unit slow docs bench wheel lock predict-env clean

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
	$(BIN)/python -c '$(DEV_GROUP)' | $(INSTALL) --editable '.[$(DEV_EXTRAS)]' --requirement /dev/stdin
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
	$(BIN)/python docs/auto_settings.py --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(VENV)/.installed-dev
	$(BIN)/pytest -n auto --dist worksteal

slow: $(VENV)/.installed-dev
	$(BIN)/pytest -m slow

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/cli.py
	$(BIN)/python docs/auto_settings.py

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# The wheel is built from the sdist, so both are tried.
wheel: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet uv
	rm -rf dist
	$(BIN)/python -m uv build --quiet --build-constraint constraints.txt
	$(BIN)/python deploy/try_wheel.py dist/*.whl $(PYTHONS)

# One version of a package for all Pythons and platforms where there is one, so that what CI tests is what others install.
# Without hashes: where a requirement or constraint has one, pip refuses to install a folder, and so the project itself.
# hatchling and editables are what builds it; they stand in no list of dependencies that uv reads.
lock: | $(BIN)/python
	$(BIN)/python -m pip install --quiet uv
	printf 'hatchling\neditables\n' | $(BIN)/python -m uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	  --all-extras --group dev $(if $(UPGRADE),--upgrade) --annotation-style line --custom-compile-command 'make lock' \
	  --output-file constraints.txt pyproject.toml - >/dev/null
	$(LOCK_PREDICT) --output-file deploy/predict.txt deploy/predict.in >/dev/null
	$(LOCK_PREDICT) --output-file deploy/serve.txt deploy/serve.in >/dev/null

# The versions of constraints.txt, with hashes. onnxruntime names three packages that prediction does not import.
LOCK_PREDICT = $(BIN)/python -m uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
  --constraints constraints.txt --generate-hashes --no-annotate --custom-compile-command 'make lock' \
  --no-emit-package flatbuffers --no-emit-package packaging --no-emit-package protobuf

# `python -m venv` puts setuptools into the environment of Python 3.11, where nothing needs it. Byte code is written for what
# prediction imports, and not for tests and tools: 13 MB less.
predict-env:
	@test '$(origin VENV)' != file || { echo "Name a folder for the environment: make predict-env VENV=DIR"; exit 1; }
	@test -x $(BIN)/python || $(MAKE) --no-print-directory $(BIN)/python
	$(BIN)/python -m pip uninstall -qq --yes setuptools
	$(BIN)/python -m pip install --quiet --no-deps --no-compile --requirement deploy/$(if $(SERVE),serve,predict).txt
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	  $(BIN)/python -m pip install --quiet --no-deps --no-compile .
	$(BIN)/python -m compileall -q -x '/(tests|tools|transformers|quantization)/' $(VENV)/lib

clean:
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
