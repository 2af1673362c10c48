# Every target makes the virtual environment first when it is missing or stale.
# Needed: make, and a Python of 3.11 or newer with its venv module.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=
FUZZ_ARGS ?=
MINUTES ?= 15
URL ?=
SEED ?=
CHAOS_ARGS ?=

PY := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
LOWEST := .venv-lowest
# Three of them: half of what each does is wait. More, and what is timed in a test would have too little
# of the processor.
CORE := -n 3 --ignore=tests/faults --ignore=tests/mutants --ignore=tests/servers tests
# One process: it runs them side by side itself, and each of two would run them all.
MUTANTS := tests/mutants
# These wait for servers most of their time: four processes, each with servers of its own.
# In this order: the files of faults are few tests that take long, and what is begun last is waited for.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder tests/faults adapters
ADAPTERS := $(wildcard adapters/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help venv servers demo demo-kafka demo-redis test test-cluster test-faststream \
	test-lowest test-servers check lint format-check types mypy pyright layers links docs-strict sizes format bench fuzz chaos docs serve lock clean

help: ## Show this list
	@echo "Usage: make TARGET [PYTHON=python3.12]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  \1@\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F@ '{ printf "%-16s %s\n", $$1, $$2 }'

$(STAMP): pyproject.toml $(ADAPTERS) constraints.txt tools/make_venv.py tools/need_python.sh
	@sh tools/need_python.sh "$(PYTHON)"
	@"$(PYTHON)" tools/make_venv.py "$(VENV)"

venv: $(STAMP) ## Make or refresh the virtual environment

servers: $(STAMP) ## Install what the tests need beside Python, where that is possible
	@sh tools/need_redis.sh
	@sh tools/need_chromium.sh
	@sh tools/need_kafka.sh "$(PY)"

demo: $(STAMP) ## 27,004 real flights through the bus (URL=redis://... ARGS="--limit 1000")
	$(PY) -m examples.flights $(if $(URL),--url '$(URL)') $(ARGS)

demo-redis: $(STAMP) ## The same over Redis, on a server of its own
	@sh tools/need_redis.sh
	$(PY) tools/with_redis.py $(PY) -m examples.flights $(ARGS)

demo-kafka: $(STAMP) ## The same over Kafka, on a broker of its own
	@sh tools/need_kafka.sh $(PY)
	$(PY) tools/with_kafka.py $(PY) -m examples.flights $(ARGS)

test: servers ## Run the tests on asyncio and trio (TEST_ARGS="-k patterns")
ifeq ($(strip $(TEST_ARGS)),)
	$(PY) -m pytest $(CORE)
	$(PY) -m pytest $(MUTANTS)
	$(PY) -m pytest $(SIDE_BY_SIDE)
else
	$(PY) -m pytest $(TEST_ARGS)
endif

test-lowest: ## Run the tests with the oldest dependencies that are allowed
	@sh tools/need_python.sh "$(PYTHON)"
	@"$(PYTHON)" tools/make_venv.py --lowest "$(LOWEST)"
	@sh tools/need_redis.sh
	@sh tools/need_chromium.sh
	@sh tools/need_kafka.sh "$(LOWEST)/bin/python"
	$(LOWEST)/bin/python -m pytest $(CORE) --ignore=tests/test_types.py
	$(LOWEST)/bin/python -m pytest $(MUTANTS)
	$(LOWEST)/bin/python -m pytest $(SIDE_BY_SIDE)

test-cluster: $(STAMP) ## Run the suite on three Kafka brokers, too
	@sh tools/need_kafka.sh "$(PY)"
	BUSWAY_TEST_CLUSTER=1 $(PY) -m pytest adapters/kafka/tests/test_suite_cluster.py

test-servers: servers ## Run the tests of what starts and ends the servers for the others
	$(PY) -m pytest tests/servers

test-faststream: $(STAMP) ## Run the tests of BusBroker with every FastStream it works with
	$(PY) tools/test_faststream.py $(TEST_ARGS)

check: lint format-check types layers links docs-strict sizes ## Lint, format, types, layers, dead links
	@echo "check: all good"

lint: $(STAMP)
	$(PY) -m ruff check .

format-check: $(STAMP)
	$(PY) -m ruff format --check .

types: mypy pyright

mypy: $(STAMP)
	$(PY) -m mypy src tests/typing tests/servers tests/faults examples $(ADAPTERS:pyproject.toml=src)

pyright: $(STAMP)
	$(PY) -m pyright

layers: $(STAMP)
	$(PY) -m pytest -q tests/test_architecture.py tests/test_adapters.py

links: $(STAMP)
	$(PY) tools/links.py

docs-strict: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet --site-dir $(VENV)/site

sizes: $(STAMP)
	@$(PY) tools/sizes.py

format: $(STAMP) ## Format the code and mend what ruff can mend
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

bench: $(STAMP) ## Print the benchmark table (BENCH_ARGS=--short)
	$(PY) -m tests.bench $(BENCH_ARGS)

fuzz: $(STAMP) ## Feed the decoder hostile bytes for a minute (FUZZ_ARGS="-max_total_time=600")
	$(PY) -m tests.fuzz.fuzz_decode -max_total_time=60 -max_len=4096 -rss_limit_mb=512 $(FUZZ_ARGS)

chaos: $(STAMP) ## Kill, stop, cut and restart while events flow (MINUTES=15 URL=redis://... SEED=1)
	@sh $(if $(filter kafka%,$(URL)),tools/need_kafka.sh "$(PY)",tools/need_redis.sh)
	$(PY) -m tests.faults.chaos --minutes $(MINUTES) $(if $(URL),--url '$(URL)') \
		$(if $(SEED),--seed $(SEED)) $(CHAOS_ARGS)

docs: $(STAMP) ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "docs: open site/index.html"

serve: $(STAMP) ## Serve the documentation and rebuild it on change
	$(PY) -m mkdocs serve

lock: ## Write constraints.txt anew, with the newest versions
	@sh tools/need_python.sh "$(PYTHON)"
	@"$(PYTHON)" tools/lock.py

clean: ## Remove everything that these targets made
	rm -rf .venv .venv-faststream .venv-lowest site dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
