# The README's two commands, and what developers add to them. Needs make and Python 3.11 or newer.
PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= constraints.txt
BIN         := $(VENV)/bin
INSTALL     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)
COMPILE     := $(BIN)/uv pip compile --quiet --no-annotate --all-extras --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help demo test quick lint coverage lowest docs bench evidence evidence-search drill hooks constraints clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ \t/' | expand -t 20

demo: $(VENV)/.demo  ## tune a real network without a test set (about two minutes)
	$(BIN)/wwopt demo $(ARGS)

test: lint  ## lint, then run all tests (about thirteen minutes)
	$(BIN)/python -m pytest $(ARGS)

quick: $(VENV)/.test  ## run the tests that are not slow (about seven minutes)
	$(BIN)/python -m pytest -m 'not slow' $(ARGS)

lint: $(VENV)/.test  ## ruff, mypy strict, and the layers of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

coverage: $(VENV)/.test  ## run all tests and measure the branches that they take
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered $(ARGS)

# Old libraries warn of newer ones, and dask 2025.1 does not close a cluster that has lost all its workers.
KILLED := tests/wwopt/engine/test_cluster.py::test_layer_that_no_worker_survives_is_named
lowest: $(VENV)-lowest/constraints.txt  ## run the quick tests on the lowest versions that pyproject.toml promises, but torch's
	$(MAKE) quick VENV=$(VENV)-lowest CONSTRAINTS=$< \
	  ARGS="-W default --deselect $(KILLED) tests/wwopt tests/objectives tests/trackers tests/compatibility $(ARGS)"

docs: $(VENV)/.docs  ## build the documentation into site/
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs site
	@echo "site/index.html"

bench: $(VENV)/.test  ## time the engine beside WeightWatcher, and write docs/benchmarks.md (about ten minutes)
	$(BIN)/python -m benchmarks.engine $(ARGS)

evidence: $(VENV)/.test  ## train 1,500 networks, judge the scores and pruners, and write docs/evidence.md (under two hours)
	$(BIN)/python -m benchmarks.selection.train
	$(BIN)/python -m benchmarks.selection.evaluate
	$(BIN)/python -m benchmarks.selection.prune --docs docs

evidence-search: $(VENV)/.test  ## run 72 searches on real tasks, and write docs/searches.md (under an hour)
	$(BIN)/python -m benchmarks.selection.searches --docs docs $(ARGS)

drill: $(VENV)/.test  ## kill MLflow's server and a training, and count what arrived (about three minutes)
	$(BIN)/python -m tests.support.delivery_drill $(ARGS)

hooks: $(VENV)/.dev  ## run ruff, mypy, layers and file sizes before each commit (pre-commit)
	$(BIN)/pre-commit install

constraints: $(VENV)/.dev  ## pin what the requirements resolve to; ARGS=--upgrade takes the newest versions
	$(COMPILE) --universal --group dev --custom-compile-command 'make constraints' --output-file constraints.txt $(ARGS) pyproject.toml

clean:  ## remove the environments and what the demo wrote
	rm -rf $(VENV) $(VENV)-lowest wwopt-demo

# What each stamp installs: a change of the requirements installs again.
demo_requirements := --editable '.[demo]'
test_requirements := --editable '.[all]' --group test
docs_requirements := --editable '.[all]' --group docs
dev_requirements  := --editable '.[all]' --group dev

$(VENV)/.%: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing the requirements of '$*' into $(VENV) ..."
	@$(INSTALL) 'pip>=25.1'  # older ones do not know dependency groups
	$(INSTALL) $($*_requirements)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "wwopt needs Python 3.11 or newer; run 'make PYTHON=python3.12 ...' with a path to one."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)-lowest/constraints.txt: $(VENV)/.dev
	@mkdir -p $(@D)
	$(COMPILE) --resolution lowest-direct --group test --output-file $@ pyproject.toml
