# The whole workflow. A fresh machine needs python3.11 and make; everything else is set up in .venv, once.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet -c constraints.txt
READY := $(VENV)/.ready
BUDGET ?= 90s

.PHONY: help demo test setup lint types check docs bench clean

help:
	@echo "make demo    set everything up, search on the embedded digits for $(BUDGET), print where the report is"
	@echo "make test    set everything up, lint, type-check, test"
	@echo "make check   lint and type-check only        make lint / make types: one of them"
	@echo "make docs    run the code of the documentation"
	@echo "make bench   run the benchmarks, which print ratios measured in one run"
	@echo "make clean   remove .venv and caches; runs/ stays"

# Nothing is installed again while pyproject.toml and constraints.txt stay as they are. torch comes first and alone,
# so that a build of it that lies on this machine (PIP_FIND_LINKS) is taken before anything else can ask for another.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && "$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" \
	  || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Setting up $(VENV); the first time takes some minutes." >&2
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(PIP) setuptools
	@$(PIP) torch
	@$(PIP) --no-build-isolation -e '.[all,dev]'
	@touch $@

setup: $(READY)

demo: $(READY)
	@$(BIN)/archsmith search digits --budget $(BUDGET)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

check: lint types

test: check
	@# Two processes, one thread each: more of them would wait for each other.
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

docs: $(READY)
	@$(BIN)/pytest tests/docs

bench: $(READY)
	@set -e; for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
