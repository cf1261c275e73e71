# Two commands on a fresh machine: `make demo` and `make test`. Both make their own virtual
# environment in .venv first; nothing is installed outside this directory.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := build/demo

DATED   := tests/project/test_docs.py tests/project/test_pictures.py tests/project/test_runbook.py \
	tests/sandbox/test_account.py tests/sandbox/test_list.py
# Those in which something looks for a terminal (host/terminal.py: open_terminal).
ASKING  := tests/api/test_auth.py tests/cli/test_command_line.py tests/commands/test_run.py \
	tests/end_to_end/test_terminal.py tests/host/test_terminal.py tests/reporting/test_observers.py
HEARING := tests/api/test_auth.py tests/host tests/reporting/test_alerts.py \
	tests/project/test_runbook.py tests/end_to_end \
	-k 'signal or interrupt or hangup or gives_up or Ctrl'
# The others measure, need programs that a machine may not have, take long, or go the same way
# through the libraries as those that are left.
FAST    := tests $(addprefix --ignore=tests/,end_to_end api/test_rate_limiter.py \
	commands/test_guards.py commands/test_list.py commands/test_repeated.py commands/test_where.py \
	job/test_executor.py job/test_key_lookup.py job/test_list_lookup.py job/test_look.py \
	job/test_properties.py job/test_runner.py reporting/test_log_file.py \
	reporting/test_prometheus.py project/test_isolation.py project/test_performance.py \
	project/test_runbook.py project/test_samples.py)
COLLECT = $(BIN)/pytest --collect-only -q -n 0 -p no:randomly
LOWEST  := build/lowest

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test dates prompts names deaf ctrl-c lowest soak bench lint types wheel samples pictures clean

help:
	@echo "make demo    revoke 60 licenses of samples/licenses.csv in a local sandbox"
	@echo "make test    lint, types and the whole test suite"
	@echo "make dates   tests of demo and docs, in a year and on a 29 February (needs faketime)"
	@echo "make prompts tests of what asks, at a terminal: none may ask there (needs script)"
	@echo "make names   whether the tests have the same names whenever they are collected"
	@echo "make deaf    tests of signals, where SIGINT and SIGHUP are ignored"
	@echo "make ctrl-c  Ctrl-C amid end-to-end tests: nothing may go on"
	@echo "make lowest  fast tests with the oldest libraries that pyproject.toml admits"
	@echo "make soak    a thousand runs that are killed, gone on with and restored (half an hour)"
	@echo "make bench   measure everything that docs/performance.md says (about an hour)"
	@echo "make lint    ruff"
	@echo "make types   mypy, strict"
	@echo "make wheel   build the package into dist/"
	@echo "make samples write samples/ again"
	@echo "make pictures make the pictures of README and docs anew (needs chromium)"
	@echo "make clean   remove what these commands made"

# The package itself, editable, and what `make demo` needs.
$(VENV)/.installed: pyproject.toml .ci/make_venv.py
	@$(PYTHON) .ci/make_venv.py $(VENV) '.[report]'
	@touch $@

# The same with what linting and testing need beside it.
$(VENV)/.installed-dev: pyproject.toml .ci/make_venv.py
	@$(PYTHON) .ci/make_venv.py $(VENV) '.[dev]'
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	@head -n 61 samples/licenses.csv >$(DEMO)/licenses.csv
	$(BIN)/bulk-revoke run $(DEMO)/licenses.csv --sandbox --yes -o $(DEMO)/licenses.results.csv
	@echo
	@head -n 6 $(DEMO)/licenses.results.csv | cut -d, -f1-12
	@echo
	@echo "Your own list: $(BIN)/bulk-revoke run LIST.csv --sandbox"

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev
	$(BIN)/mypy

test: lint types
	$(BIN)/pytest $(PYTEST)

# The same tests on other days and in other places.

dates: $(VENV)/.installed-dev
	faketime -f '+365d' $(BIN)/pytest $(DATED) $(PYTEST)
	faketime -f '@2028-02-29 12:00:00' $(BIN)/pytest $(DATED) $(PYTEST)

prompts: $(VENV)/.installed-dev
	@mkdir -p build
	timeout 300 script -qec "$(BIN)/pytest $(ASKING) $(PYTEST)" build/terminal.txt \
		</dev/null >/dev/null || { cat build/terminal.txt; exit 1; }
	! grep -E 'Type [0-9]+ to |Access token \(' build/terminal.txt
	@tail -n 4 build/terminal.txt

# Python's hashes differ each time as well.
names: $(VENV)/.installed-dev
	@mkdir -p build
	$(COLLECT) >build/names.txt
	@sleep 1
	$(COLLECT) >build/names-again.txt
	@sed -i '/ collected in /d' build/names.txt build/names-again.txt
	cmp build/names.txt build/names-again.txt

deaf: $(VENV)/.installed-dev
	trap '' INT HUP QUIT; $(BIN)/pytest $(HEARING) $(PYTEST)

ctrl-c: $(VENV)/.installed-dev
	$(BIN)/python -m tests.support.ctrl_c

# Not .venv: what is developed with stays as it is.
$(LOWEST)/.installed: pyproject.toml .ci/make_venv.py
	@$(PYTHON) .ci/make_venv.py $(LOWEST) '.[dev]' --resolution lowest-direct
	@touch $@

lowest: $(LOWEST)/.installed
	@$(MAKE) --no-print-directory names BIN=$(LOWEST)/bin
	$(LOWEST)/bin/pytest $(FAST) $(PYTEST)

soak: $(VENV)/.installed-dev
	BULK_REVOKE_THOROUGH=4 $(BIN)/pytest tests/input/test_exclusion.py tests/job \
		tests/end_to_end/test_gateways.py $(PYTEST)
	BULK_REVOKE_KILLED=1000 $(BIN)/pytest tests/end_to_end/test_killed.py $(PYTEST)

bench: $(VENV)/.installed-dev
	@$(PYTHON) .ci/make_venv.py $(VENV) '.[bench]'
	$(BIN)/python -m benchmarks

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m build --outdir dist

samples: $(VENV)/.installed-dev
	$(BIN)/python samples/make_samples.py

# What a picture shows is in tests/support/pictures.py: another one is an entry there.
pictures: $(VENV)/.installed-dev
	$(BIN)/python -m tests.support.pictures

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
