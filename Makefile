# `make demo` and `make test` need Python 3.11 and nothing else: each sets up what it uses.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
# pip says on each call that it could be newer
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# first and by itself: an index may have a build of it that is not PyPI's (requirements.txt)
TORCH = $(shell grep -o '^torch==[^ ]*' requirements.txt)

.PHONY: help setup demo test test-unit test-integration test-fuzz test-acceptance coverage \
	coverage-report soak hosts many kills model pins fuzz audit requirements lowest guards \
	reference-suite lint format docs bench clean

help:  ## What there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# made last, so that an interrupted set-up is taken up again
$(READY): pyproject.toml requirements.txt tests/requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

setup: $(READY)  ## The virtual environment with everything in it

demo: $(READY)  ## The whole job on real photographs; leaves demo-output/report.html
	$(BIN)/spacer-tasks demo $(DEMO_ARGS)

# three at a time, a file each: many wait for processes, and two cores are enough for that
PARALLEL := --numprocesses 3 --dist loadfile --durations=10
# of whole processes, which wait more; folders with long files are first
OF_PROCESSES := --numprocesses 4 --dist loadfile --no-loadscope-reorder --durations=10
# MEASURE=yes notes which lines are run; coverage-report says which are not
MEASURED := $(if $(MEASURE),$(BIN)/coverage run -m pytest,$(PYTEST))

test: $(READY)  ## All tests, with private Redis and S3 servers
	$(PYTEST) $(PARALLEL) $(PYTEST_ARGS)

test-unit: $(READY)  ## The tests that need no server, and the model of the queue
	$(MEASURED) $(PARALLEL) tests/unit $(PYTEST_ARGS)
	$(PYTEST) --numprocesses 3 tests/model $(PYTEST_ARGS)

test-integration: $(READY)  ## The tests of parts against a real Redis and a real S3 server
	$(MEASURED) $(PARALLEL) tests/integration $(PYTEST_ARGS)

test-fuzz: $(READY)  ## Mutated files and messages, a few of each
	$(PYTEST) $(PARALLEL) tests/fuzz $(PYTEST_ARGS)

test-acceptance: $(READY)  ## The tests of whole processes, seen from outside, and a short soak
	$(PYTEST) $(OF_PROCESSES) tests/acceptance tests/soak $(PYTEST_ARGS)

coverage: $(READY)  ## What unit and integration tests do not run, in their subprocesses too
	$(BIN)/coverage erase
	$(MAKE) test-unit test-integration MEASURE=yes
	$(MAKE) coverage-report

coverage-report: $(READY)  ## What was not run since MEASURE=yes; writes .cache/coverage/html
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

# SOAK_ARGS="--minutes 5" makes it shorter; that is the time of sending, about a third of the whole.
# --add counts the runs in tests/soak/measured, too, and keeps this one there; --only=TEXT runs some
# faults, --since=TEXT those from one on, --page none
soak: $(READY)  ## Every fault on real workers, for most of an hour; writes docs/reliability.md
	$(BIN)/python -m tests.soak $(SOAK_ARGS)

# root, network namespaces and iptables; libfaketime for clocks that differ
hosts: $(READY)  ## Pools on hosts of a network that fails, 5,000 tasks; 50 workers on one Redis
	TEST_HOSTS_TASKS=5000 TEST_CROWD_MESSAGES=5000 $(PYTEST) tests/soak/test_hosts.py \
		tests/soak/test_crowd.py -s $(PYTEST_ARGS)

many: $(READY)  ## A thousand images in one batch, and a thousand trainings
	TEST_IMAGES=1000 TEST_TRAININGS=1000 $(PYTEST) tests/acceptance/batches/test_large_batch.py \
		tests/acceptance/batches/test_train_many.py --durations=3 $(PYTEST_ARGS)

kills: $(READY)  ## A batch whose worker is killed before each command of its last part; 10,000 images
	TEST_KILL_EVERY=1 TEST_BATCH_IMAGES=10000 $(PYTEST) --numprocesses 2 \
		tests/acceptance/batches/test_killed_last_part.py $(PYTEST_ARGS)

model: $(READY)  ## All interleavings of two workers with two kills, two pauses and a restart at once
	TEST_MODEL=all $(PYTEST) --numprocesses 2 tests/model $(PYTEST_ARGS)

pins: $(READY)  ## Installing beside CoralNet's pins: each Python, both of the reference's versions
	TEST_PINS=all $(PYTEST) tests/acceptance/installation/test_beside_coralnet.py \
		tests/acceptance/installation/test_base_install.py \
		tests/acceptance/sites/test_coralnet_pins.py $(PYTEST_ARGS)

# TEST_FUZZ_SEED=… sends the messages of a run again
fuzz: $(READY)  ## Mutated files, and 100,000 malformed messages to a real worker; new ones each time
	TEST_FUZZ_TIMES=40 TEST_FUZZ_ENVELOPES=100000 $(PYTEST) --numprocesses 2 tests/fuzz $(PYTEST_ARGS)

# in an environment of its own: the tool brings its own versions of what it looks at. Strict, so that
# a package of which nothing could be learnt is a failure and not a pass
audit:  ## Known vulnerabilities of what the images install; asks PyPI
	test -x .venv-audit/bin/pip-audit || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit==2.10.1
	.venv-audit/bin/pip-audit --requirement requirements.txt --no-deps --disable-pip --strict

UV := .venv-uv/bin/uv
$(UV):
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet uv==0.13.9

# Versions stay as they are where they can; UPGRADE=--upgrade, or --upgrade-package=NAME, raises them.
# NVIDIA's libraries are torch's own affair: its builds differ, and that for a CPU has none
OF_CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
	nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile \
	nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 \
	nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx triton
COMPILE = $(UV) pip compile pyproject.toml --quiet --extra worker --extra cli --extra flower --extra metrics --extra imagenet \
	--python-platform x86_64-manylinux_2_28 --no-annotate --no-emit-index-url \
	$(addprefix --no-emit-package=,$(OF_CUDA))

requirements: $(UV)  ## requirements.txt from pyproject.toml, with a hash of each file; asks PyPI
	$(COMPILE) --python-version 3.11.9 --generate-hashes --output-file requirements.txt \
		--custom-compile-command "make requirements" $(UPGRADE)

# the least version of each direct dependency, with the newest of what these need. LOWEST_TORCH is
# another one where that has no build for a CPU in reach
LOWEST := .cache/lowest
lowest: $(UV)  ## The unit tests with the lowest versions that pyproject.toml admits; asks PyPI
	mkdir -p $(dir $(LOWEST))
	$(COMPILE) --python-version 3.11.9 --resolution lowest-direct --output-file $(LOWEST).txt
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet \
		"$(or $(LOWEST_TORCH),$$(grep -o '^torch==[^ ]*' $(LOWEST).txt))"
	grep -v '^torch==' $(LOWEST).txt >$(LOWEST)-rest.txt
	$(UV) pip install --quiet --python $(LOWEST)/bin/python \
		-r $(LOWEST)-rest.txt -r tests/requirements-lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --no-deps --editable .
	$(LOWEST)/bin/python -m pytest $(PARALLEL) tests/unit $(PYTEST_ARGS)

# TESTS="--tests FOLDER --reference 0.14.0" takes them from a checkout
reference-suite: $(READY)  ## The reference's own tests, over it and over spacer_tasks.compat
	$(BIN)/python -m tests.reference_suite $(TESTS)

guards: $(READY)  ## Each guard of docs/security.md taken out in turn: a test must fail
	$(BIN)/python -m tests.guards $(GUARDS_ARGS)

lint: $(READY)  ## Formatter, linter, the floors of docs/architecture.md and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy

format: $(READY)  ## Let the formatter write
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## The documentation, in site/; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs site

bench: $(READY)  ## This project beside the reference, in one run
	$(BIN)/python -m pip install --quiet -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean:  ## Everything that was made here
	rm -rf $(VENV) .cache build dist site demo-output soak-output
