# Everything runs from a fresh machine with Python 3.11+ and make: `make demo`, `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# One thread each: fits and decisions are small, and extra threads only fight for the cores.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test fuzz check conformance bench bench-gateway bench-quality artifacts docs-reference build clean

demo: $(VENV)/installed ## Route the bundled prompts through a gateway with two simulated models
	$(BIN)/turnout demo

test: $(VENV)/installed-test ## Set up, and pass the tests
	$(BIN)/python -m pytest

fuzz: $(VENV)/installed-test ## Other requests from the API's description in every run (EXAMPLES of each operation, SEED to repeat one)
	@echo "SEED=$(SEED)"
	TURNOUT_FUZZ_SEED=$(SEED) TURNOUT_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/openapi/test_openapi_fuzz.py

check: $(VENV)/installed-check ## Lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs-reference: $(VENV)/installed ## Write the reference of all settings from the code
	$(BIN)/turnout check --reference > docs/reference/settings.md

bench: $(VENV)/installed-test ## Decision time, import time and size, as ratios to baselines
	$(BIN)/python benchmarks/decision.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/footprint.py
	$(BIN)/python benchmarks/wire.py

bench-gateway: $(VENV)/installed-fast ## The gateway beside its peers, which are installed into PEERS (needs cc, taskset, npm)
	$(BIN)/python benchmarks/gateway/run.py --peers $(PEERS) --install

conformance: $(VENV)/installed-test ## Real clients against a real gateway (installs each; some gigabytes)
	$(BIN)/python conformance/run.py

bench-quality: $(VENV)/installed-test ## Quality on RouteLLM's data (DATA=folder with routellm/ and outcomes/)
	$(BIN)/python benchmarks/quality.py --data $(DATA) $(if $(BASE),--base $(BASE))

artifacts: $(VENV)/installed-test ## Fit the shipped artifacts again (DATA=folder with outcomes/, BASE=all-MiniLM-L6-v2)
	$(BIN)/python recipes/build_pretrained.py --data $(DATA)
	$(BIN)/python recipes/build_universal.py --data $(DATA)
	$(BIN)/python recipes/build_seen.py --data $(DATA)
	@test -n "$(BASE)" || { echo "give BASE=folder of all-MiniLM-L6-v2 for bert: see recipes/build_bert.py"; exit 1; }
	$(BIN)/python recipes/build_bert.py --data $(DATA) --base $(BASE)

build: $(VENV)/installed ## Wheel and source distribution into dist/
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) dist build

EXAMPLES ?= 200
SEED := $(or $(SEED),$(shell date +%s))
DATA ?= $(TURNOUT_DATA)
PEERS ?= .peers

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Turnout needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-fast: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fast]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-check: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,check]'
	@touch $@ $(VENV)/installed $(VENV)/installed-test
