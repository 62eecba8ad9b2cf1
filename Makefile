# The two commands: `make demo` and `make test`. Everything they need is set up once, under .venv, install/ and
# the model cache; PYTHON=python3.11 chooses the interpreter.
SHELL := /bin/bash
.DEFAULT_GOAL := demo
run := source tools/env.sh &&

CAMERA ?= sample
DURATION ?= 0
# Models of the demo's affect and motion_affect nodes; empty: what has been imported.
AFFECT ?=
MOTION ?=

# How `make test` runs pytest: several tests at once (how many: pytest_xdist_auto_num_workers in
# test/conftest.py), those that watch the clock one after the other. PYTEST= runs one at a time.
PYTEST ?= -n auto --dist loadgroup --no-loadscope-reorder

TEXT ?=
PORTRAIT ?=

.PHONY: setup demo demo-avatar test bench clean

setup:
	@tools/setup.sh

demo: setup
	@# A job of its own: Ctrl-C then ends the demo, whose exit code counts, and not make.
	@set -m; $(run) face-perception demo --camera "$(CAMERA)" --duration "$(DURATION)" \
		--affect "$(AFFECT)" --motion "$(MOTION)"

demo-avatar:
	@tools/setup.sh avatar
	@set -m; $(run) face-perception avatar-demo --text "$(TEXT)" --portrait "$(PORTRAIT)" --duration "$(DURATION)"

test:
	@tools/setup.sh test
	@$(run) ruff check . && ruff format --check . && mypy && \
		ROS_PYTHON_CHECK_FIELDS=1 pytest $(PYTEST)

bench:
	@tools/setup.sh test
	@$(run) python3 bench/run.py && ROS_PYTHON_CHECK_FIELDS=1 pytest -m slow

clean:
	rm -rf .venv build install log out
