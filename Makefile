# The main commands. `make repro` and `make test` need only Python >= 3.11, make and git.
PYTHON ?= python3
VENV := .venv
SETUP_DONE := $(VENV)/setup-done
UV := 0.13.8

# Tests of one file share costly fixtures; slow files run first (tests/conftest.py).
TWO_CORES := -n 2 --dist loadfile --no-loadscope-reorder

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONHASHSEED := 0

.PHONY: setup repro test test-fast test-kill lint

setup: $(SETUP_DONE)

$(SETUP_DONE): requirements.lock posereel/install.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "setup: expected Python >= 3.11, got $$($(PYTHON) --version); cure: make PYTHON=python3.11"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes --compile-bytecode -r requirements.lock
	$(VENV)/bin/python -m posereel.install
	$(VENV)/bin/python -m compileall -q models pipeline posereel stages pretrain benchmarks
	touch $@

repro: setup
	dvc repro
	@posereel results

test: setup
	python -m pytest $(TWO_CORES)

test-fast: setup
	python -m pytest $(TWO_CORES) -m "not slow"

test-kill: setup
	python -m pytest tests/test_kills.py -m slow --kills 20

lint: setup
	ruff check .
	ruff format --check .
	mypy
