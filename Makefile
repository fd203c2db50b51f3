# Everything there is to do with streamrec; `make` alone lists it.
# Needs Python 3.11 (PYTHON=...) and make. CI, pre-commit and people call the same targets.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(BIN)/uv
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements-dev.lock)
COMPILE := $(UV) pip compile pyproject.toml --quiet --extra tensorboard --extra parquet --extra tracing --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock"
SOURCES := $(wildcard streamrec workers tests benchmarks schemas)
BENCHMARKS := ingest training fast_lane encoder serving latency startup gateway
export UV_NO_PROGRESS := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all fuzz check lint format types contracts deps site reference bench lock jars wheel

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(STAMP) ## .venv with exactly the locked versions, and streamrec in it

$(STAMP): pyproject.toml requirements-dev.lock Makefile
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) not found: install Python 3.11, or name one: make install PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2; exit 1; }
	@$(UV) --version 2>/dev/null | grep -q "^uv $(UV_VERSION) " || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) pip sync --python $(BIN)/python --require-hashes --quiet --compile-bytecode requirements-dev.lock
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet --editable .
	@$(BIN)/python -m compileall -q streamrec workers
	@touch $@

demo: install ## the whole loop on a public stream, with embedded Kafka and Redis
	$(BIN)/streamrec demo

# threads that spin for each other crawl on a machine that is shared
test: install ## every test; those that need Java or redis-server say so when they skip
	OMP_NUM_THREADS=1 $(BIN)/python -m tests --one-kind --durations=25

test-all: install ## the same, and each test that may on Apache Kafka and on the embedded broker
	OMP_NUM_THREADS=1 $(BIN)/python -m tests --durations=25

fuzz: install ## 10,000 bad inputs, among good ones, through every consumer
	$(BIN)/python -m tests.fuzz

check: lint types contracts deps test ## everything CI runs

lint: install ## ruff: rules and format
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: install ## rewrite the sources in ruff's format
	$(BIN)/ruff check --fix --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: install ## mypy, strict
	$(BIN)/mypy

contracts: install ## import contracts: layers, a pure core
	$(BIN)/lint-imports

deps: install ## declared and imported packages agree
	$(BIN)/deptry streamrec workers

site: install ## the documents as a site, in build/site
	$(BIN)/zensical build --strict

reference: install ## write docs/reference, and what the Helm chart copies, anew from the code
	$(BIN)/python -m tests.reference
	$(BIN)/python -m tests.chart

bench: install ## the benchmarks; each prints its ratio
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name; done

lock: $(VENV)/bin/uv ## resolve the dependencies anew and write the locks
	$(COMPILE) --upgrade --output-file requirements.lock
	$(COMPILE) --upgrade --group dev --constraint requirements.lock --output-file requirements-dev.lock

wheel: install ## dist: the wheel and the source distribution
	$(BIN)/python -m build --no-isolation --outdir dist .

jars: install ## fetch Apache Kafka's jars for the tests, ahead of time
	$(BIN)/python -c "from tests.harness.servers import *; resolve_jars(KAFKA_CACHE)"

$(VENV)/bin/uv:
	$(MAKE) install
