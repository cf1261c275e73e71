# Two commands on a fresh machine: `make demo` and `make test`. Both make their own virtual
# environment in .venv first; nothing is installed outside this directory.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := build/demo

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test soak bench lint types wheel samples clean

help:
	@echo "make demo    revoke the licenses of samples/licenses.csv in a local sandbox"
	@echo "make test    lint, types and the whole test suite"
	@echo "make soak    a thousand runs that are killed, gone on with and restored (about 20 minutes)"
	@echo "make bench   measure everything that docs/performance.md says (about an hour)"
	@echo "make lint    ruff"
	@echo "make types   mypy, strict"
	@echo "make wheel   build the package into dist/"
	@echo "make samples write samples/ again"
	@echo "make clean   remove what these commands made"

# The package itself, editable, and what `make demo` needs.
$(VENV)/.installed: pyproject.toml .ci/make_venv.py
	@$(PYTHON) .ci/make_venv.py $(VENV) .
	@touch $@

# The same with what linting and testing need beside it.
$(VENV)/.installed-dev: pyproject.toml .ci/make_venv.py
	@$(PYTHON) .ci/make_venv.py $(VENV) '.[dev]'
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/bulk-revoke run samples/licenses.csv --sandbox --output $(DEMO)/licenses.results.csv
	@echo
	@head -n 6 $(DEMO)/licenses.results.csv

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

test: lint types
	$(BIN)/pytest $(PYTEST)

soak: $(VENV)/.installed-dev
	BULK_REVOKE_KILLED=1000 $(BIN)/pytest tests/end_to_end/test_killed.py $(PYTEST)

bench: $(VENV)/.installed-dev
	@$(PYTHON) .ci/make_venv.py $(VENV) '.[bench]'
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --outdir dist

samples: $(VENV)/.installed-dev
	$(BIN)/python samples/make_samples.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
