# Two commands do all the set-up: make demo, make test.   The environment lies in VENV (make test VENV=... to reuse one).
VENV ?= .venv
PYTHON ?= $(firstword $(shell for p in python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p; done))
STAMP := $(VENV)/.holdfast-installed
BIN := $(abspath $(VENV))/bin

.PHONY: help install demo smoke test test-slow lint types docs refusals benchmarks trials trials-nightly audit
help: ## this text
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(STAMP): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Holdfast needs Python 3.11 or 3.12 on the PATH"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	@# without dependencies: the file names all that is needed, and leaves out solvers that Avalanche asks for and never calls here
	$(VENV)/bin/python -m pip install --quiet --no-deps --requirement constraints.txt setuptools==81.0.0
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(STAMP)

install: $(STAMP) ## the environment
demo: $(STAMP) ## environment + suites run coconut_slurp
	$(BIN)/suites run coconut_slurp
smoke: $(STAMP) ## every suite in seconds
	for each in $$($(BIN)/suites list --json | $(BIN)/python -c 'import json, sys; print(*[row["name"] for row in json.load(sys.stdin)])'); do $(BIN)/suites run $$each --profile smoke || exit 1; done
lint: $(STAMP) ## ruff
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
types: $(STAMP) ## strict mypy over the packages, tests and generators of pages
	MYPYPATH=.types $(BIN)/mypy --namespace-packages --explicit-package-bases -p holdfast -p tests
	MYPYPATH=.types $(BIN)/mypy --namespace-packages --explicit-package-bases docs/generate/*.py
JOBS ?= 2
test: $(STAMP) lint types ## environment + checks + tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n $(JOBS) --dist worksteal
test-slow: $(STAMP) ## what takes longer than a minute
	$(BIN)/pytest -m slow
docs: $(STAMP) ## the documentation as a site in site/, links checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
refusals: $(STAMP) ## docs/bad-inputs.md from what the tests see (a quarter of an hour)
	rm -f .refusals.jsonl
	HOLDFAST_REFUSALS=$(abspath .refusals.jsonl) OMP_NUM_THREADS=1 $(BIN)/pytest -q -m "not slow" -n $(JOBS) tests/suites tests/datasets
	$(BIN)/python docs/generate/refusals.py --record .refusals.jsonl
	rm -f .refusals.jsonl
benchmarks: $(STAMP) ## speed beside named peers (about twenty-five minutes)
	cd /tmp && for each in start loop step together supcon supremix jem slimmable decoding encoder tuners sweep tracking mapped evaluation_memory; do $(BIN)/python $(abspath tests/benchmarks)/$$each.py; done
trials: $(STAMP) ## what is promised, tried: kills, damage, hostile inputs, servers, disks (minutes)
	$(BIN)/python tests/trials --to build/trials.jsonl
trials-nightly: $(STAMP) ## the same with 1,400 inputs and every suite (an hour and more)
	$(BIN)/python tests/trials --size nightly -j $(JOBS) --to build/trials-nightly.jsonl
audit: $(STAMP) ## installed versions beside known advisories, and a bill of materials in build/
	$(BIN)/python docs/generate/audit.py --to build/sbom.json
