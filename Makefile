# The main commands are `make demo` and `make test`. The first run sets up everything in .venv, install/ and the
# model cache. PYTHON=python3.11 chooses the interpreter.
SHELL := /bin/bash
.DEFAULT_GOAL := demo
run := source tools/env.sh &&

CAMERA ?= sample
DURATION ?= 0
# COMPOSED=1 runs the nodes of the demo in one process.
COMPOSED ?=
# Models of the demo's affect and motion_affect nodes; empty: the imported ones.
AFFECT ?=
MOTION ?=

# Options of pytest in `make test`. By default, tests run in parallel (pytest_xdist_auto_num_workers in
# test/conftest.py sets the number), except real-time tests. With PYTEST= they run one after another.
# A test that failed beside others runs once more alone, because a busy computer can starve it: only
# the second failure counts.
PYTEST ?= -n auto --dist loadgroup --no-loadscope-reorder

TEXT ?=
PORTRAIT ?=

.PHONY: setup demo demo-avatar test bench gpu-check clean

setup:
	@tools/setup.sh

demo: setup
	@# Run as a separate job: Ctrl-C then ends the demo and not make, which returns the demo's exit code.
	@set -m; $(run) face-perception demo --camera "$(CAMERA)" --duration "$(DURATION)" \
		--affect "$(AFFECT)" --motion "$(MOTION)" $(if $(COMPOSED),--composed)

demo-avatar:
	@tools/setup.sh avatar
	@set -m; $(run) face-perception avatar-demo --text "$(TEXT)" --portrait "$(PORTRAIT)" --duration "$(DURATION)"

test:
	@tools/setup.sh test
	@$(run) ruff check . && ruff format --check . && mypy && \
		export ROS_PYTHON_CHECK_FIELDS=1 && { pytest $(PYTEST) || { \
		printf 'Running the tests that failed once more, one at a time.\n'; \
		pytest $(subst -n auto,-n 1,$(PYTEST)) --last-failed --last-failed-no-failures none; }; }

bench:
	@tools/setup.sh test
	@$(run) python3 bench/run.py && ROS_PYTHON_CHECK_FIELDS=1 pytest -m slow

# Networks that gpu-check measures; empty: all.
NETWORKS ?=

gpu-check: setup
	@$(run) python3 bench/gpu_check.py $(NETWORKS)

clean:
	rm -rf .venv build install log out
