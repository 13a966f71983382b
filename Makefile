# 'make' lists what there is. Everything prepares its own environment first.
.DEFAULT_GOAL := help

PYTHON ?= python3
STACK ?= openmmlab
VENV ?= $(if $(filter openmmlab,$(STACK)),.venv,.venv-$(STACK))
RUN := $(VENV)/bin/python
# One file stays on one worker, since its tests share trained models.
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile
SOURCES := mmkd tools demo tests configs setup.py

.PHONY: help setup test test-fast coverage mutants demo lint types check format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo
	@echo 'STACK=onedl    the maintained forks on a current torch, in .venv-onedl'
	@echo 'STACK=oldest   the official packages on the oldest torch that they accept'
	@echo 'STACK=newest   the newest release of everything, looked up each week'
	@echo 'PYTHON=…       the Python to make the environment with'
	@echo 'TASK=…         of the demo: cls, det, ins, seg or all'
	@echo 'METHOD=…       of the demo: any in docs/methods.md with a form for TASK'
	@echo 'ARGS=…         passed on: make demo ARGS="--seed 1", make test ARGS="-k kd"'

setup:  ## prepare the environment (once; about 10 minutes)
	@$(PYTHON) tools/setup_env.py --stack $(STACK) --venv $(VENV)

test: setup  ## all tests
	$(PYTEST) $(ARGS)

test-fast: setup  ## the tests without those that train whole models
	$(PYTEST) -m 'not slow' $(ARGS)

coverage: setup  ## all tests, and what of mmkd/ none of them reaches
	$(PYTEST) --cov --cov-report=term $(ARGS)

mutants: setup  ## break the code in small ways: does a test notice? (resumes)
	OMP_NUM_THREADS=1 nice $(RUN) -W ignore tests/mutants.py $(ARGS)

demo: setup  ## train a teacher, a student, and the student with the teacher
	@$(RUN) demo/run.py $(if $(TASK),--task $(TASK)) $(if $(METHOD),--method $(METHOD)) $(ARGS)

lint: setup  ## style
	$(RUN) -m ruff check $(SOURCES)
	$(RUN) -m ruff format --check $(SOURCES)

types: setup  ## types
	$(RUN) -m mypy

check: lint types test-fast  ## what to run before a commit

format: setup  ## put the code into the house style
	$(RUN) -m ruff format $(SOURCES)
	$(RUN) -m ruff check --fix $(SOURCES)

clean:  ## remove what builds and checks leave; environments and runs stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .coverage*
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
