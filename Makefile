# Every target sets up what it needs in .venv: Python 3.10+, make and a network are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Processes that run the tests.
JOBS ?= 2

.PHONY: setup demo test lint format fuzz bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "jiff needs Python 3.10 or newer; set PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch>=2.6,<2.14"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@# Without a network everything works, less well: the command says so itself.
	-$(BIN)/jiff assets fetch perception
	@touch $(STAMP)

demo: setup
	$(BIN)/jiff demo

test: setup
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --strict jiff/base jiff/run jiff/options jiff_cli

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# 10,000 mutated inputs: each is read or named in one sentence.
fuzz: setup
	cd tests && ../$(BIN)/python -m fuzz --processes $(JOBS)

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) jiff-demo build dist *.egg-info
