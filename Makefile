# Development in two commands: `make setup`, then `make check` before each commit.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: setup check lint types test run demo

setup:  ## an environment with everything that development needs
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -r requirements.txt -r tests/requirements.txt

check: lint types test  ## all that a change must pass

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy app tests

test:  ## one file: make test TESTS=tests/test_text.py
	$(BIN)/python -m pytest $(TESTS)

run:
	$(BIN)/python -m app

demo:
	$(BIN)/python -m app demo
