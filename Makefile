# Everything a developer runs. Needs Python 3.11 or newer and make; works with GNU make 3.81 and any POSIX sh.
# `make help` lists the targets. Arguments go on: make test ARGS='-k fencing', make demo ARGS='--leads 200'; and with
# CORE=native and a C compiler each runs on the native core.

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
CACHE := .cache
ARGS ?=

# CORE=native: whatever runs does so on the core as machine code, built from the sources as they are now. Benchmarks do, if they can.
CORE ?= $(if $(filter bench%,$(MAKECMDGOALS)),$(shell command -v cc >/dev/null && echo native || echo python),python)
$(if $(filter python native,$(CORE)),,$(error CORE=$(CORE): expected python or native))
NATIVE := $(CACHE)/native
ifeq ($(CORE),native)
BUILT := $(NATIVE)/.ready
RUN := env EXPECTED_CORE=native PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(NATIVE):$(CURDIR) $(CURDIR)/$(VENV)/bin/python
PYTEST := $(RUN) -m pytest --override-ini pythonpath=
else
BUILT := $(VENV)/.ready
RUN := $(VENV)/bin/python
PYTEST := $(RUN) -m pytest
endif

# An active virtual environment of the caller's is neither used nor touched.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

# The first interpreter that is new enough; PYTHON=/path/to/python overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check docs native bench bench-peers oracle sim chaos image lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(BUILT) ## see it work: embedded broker, simulated buyers, a sales subscriber
	@$(RUN) -m mqlstream demo $(ARGS)

test: $(BUILT) ## all tests; those on a real broker need Java 17 and Maven
	@$(PYTEST) $(ARGS)

check: $(READY) ## ruff, mypy, import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo

docs: $(READY) ## write the tables and the schema in docs/ anew from the descriptions of the language
	@$(PY) -m tests.docs.generate

native: $(NATIVE)/.ready ## the core as machine code, beside the sources; needs a C compiler

bench: $(BUILT) ## throughput against Kafka Streams and end-to-end latency; about 15 minutes, needs Java 17 and Maven
	@$(RUN) -m tests.bench $(ARGS)

bench-peers: $(BUILT) ## bench, with plain Faust and Quix Streams beside it
	@$(RUN) -m tests.bench --peers $(ARGS)

oracle: $(BUILT) ## long run: scoring against the naive oracle on many random examples
	@$(PYTEST) -m oracle $(ARGS)

SEEDS ?= 10000
sim: $(BUILT) ## long run: the engine under simulated faults; SEEDS=10000
	@MQLSTREAM_SEEDS=$(SEEDS) $(PYTEST) -m sim $(ARGS)

chaos: $(BUILT) ## long run: kill, stop and rebalance workers on a real broker; needs Java 17 and Maven
	@$(PYTEST) -m chaos $(ARGS)

image: $(READY) ## carry out the Dockerfile's build steps in an empty folder, without a container engine
	@$(PY) -m tests.deploy.dockerfile

lock: $(CACHE)/uv/.ready ## resolve the dependencies anew and write the three lock files
	$(CACHE)/uv/bin/uv pip compile pyproject.toml $(LOCK_FLAGS) -o requirements.lock
	$(CACHE)/uv/bin/uv pip compile pyproject.toml --extra dev -c requirements.lock $(LOCK_FLAGS) -o requirements-dev.lock
	$(PYTHON) -c '$(BUILD_REQUIRES)' | \
		$(CACHE)/uv/bin/uv pip compile - -c requirements-dev.lock $(LOCK_FLAGS) -o requirements-build.lock

# What the build needs, and what the native core adds to it.
BUILD_REQUIRES = import tomllib; d = tomllib.load(open("pyproject.toml", "rb")); \
	print(*d["build-system"]["requires"], *d["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]["dependencies"], sep="\n")

# For every platform at once; with hashes, without the address of any index.
LOCK_FLAGS := --universal --python-version 3.11 --generate-hashes --upgrade --no-header --no-annotate --no-emit-index-url --quiet

$(CACHE)/uv/.ready:
	$(PYTHON) -m venv $(CACHE)/uv
	$(CACHE)/uv/bin/python -m pip install --quiet --no-input uv
	@touch $@

clean: ## remove what was built, the virtual environment included
	rm -rf $(VENV) $(CACHE) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Built from a copy: the build leaves its files beside the sources. No multiplication is fused with an addition, which would
# make scores on some processors differ from those of the Python code in the last bit.
$(NATIVE)/.ready: $(READY) $(shell find mqlstream topics config -type f ! -name '*.pyc' 2>/dev/null)
	@command -v cc >/dev/null || { echo "make: the native core needs a C compiler; on Debian: apt-get install gcc libc6-dev" >&2; exit 1; }
	@echo "Building the native core, some two minutes" >&2
	@rm -rf $(NATIVE) $(NATIVE)-source && mkdir -p $(NATIVE)-source
	@cp -R mqlstream topics config pyproject.toml README.md LICENSE $(NATIVE)-source
	@CFLAGS=-ffp-contract=off HATCH_BUILD_HOOKS_ENABLE=1 $(PY) -m pip install --quiet --no-input --disable-pip-version-check \
		--no-deps --no-build-isolation --no-cache-dir --target $(NATIVE) ./$(NATIVE)-source
	@rm -rf $(NATIVE)-source
	@touch $@

# The environment is made once and again whenever a lock file or pyproject.toml changes.
$(READY): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version), once" >&2
	@$(PY) -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) >&2 || \
		{ echo "make: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PY) -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(PY) -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
