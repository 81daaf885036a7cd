# The README's two commands, and what developers add to them. Needs make and Python 3.11 or newer.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help demo test docs bench evidence drill lint types clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ \t/' | expand -t 12

demo: $(VENV)/.demo  ## tune a real network without a test set (about two minutes)
	$(BIN)/wwopt demo $(ARGS)

test: $(VENV)/.test  ## ruff, mypy strict, the import layers and pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest $(ARGS)

docs: $(VENV)/.docs  ## build the documentation into site/
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs site
	@echo "site/index.html"

bench: $(VENV)/.test  ## time the engine beside WeightWatcher, and write docs/benchmarks.md (about ten minutes)
	$(BIN)/python -m benchmarks.engine $(ARGS)

evidence: $(VENV)/.test  ## train 1,500 networks, judge the scores and pruners, and write docs/evidence.md (under two hours)
	$(BIN)/python -m benchmarks.selection.train
	$(BIN)/python -m benchmarks.selection.evaluate
	$(BIN)/python -m benchmarks.selection.prune --docs docs

drill: $(VENV)/.test  ## kill MLflow's server and a training, and count what arrived (about three minutes)
	$(BIN)/python -m tests.support.drill $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "wwopt needs Python 3.11 or newer; run 'make PYTHON=python3.12 ...' with a path to one."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of extras: a change of the requirements installs again.
$(VENV)/.%: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing wwopt[$*] into $(VENV) ..."
	$(INSTALL) '.[$*]'
	@touch $@

clean:  ## remove the environment and what the demo wrote
	rm -rf $(VENV) wwopt-demo
