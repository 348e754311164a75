# Both commands make .venv where it is not there; see bootstrap.py.
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help demo test clean venv

help:
	@echo "make demo    train, compile, verify and route a classifier of handwritten digits"
	@echo "make test    run every test"
	@echo "make venv    only install sqwire and what it needs into .venv"
	@echo "make clean   remove what was built and cached; .venv stays"

venv:
	@$(PYTHON) bootstrap.py

demo: venv
	@.venv/bin/sqwire demo

test: venv
	@.venv/bin/python -m pytest -n 2 --dist loadfile

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./.venv/*" -prune -exec rm -rf {} +
