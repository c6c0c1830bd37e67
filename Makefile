# Everything runs in .venv. Each target creates it first if it is missing or the requirements changed.
# Written for /bin/sh and GNU make 3.81, which is what macOS ships.

.DEFAULT_GOAL := help
.SUFFIXES:

STAGE ?= dev
VENV := .venv/bin
READY := .venv/.ready

# Suppress pip's notices about new versions.
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo local test lint format bench policies deploy conformance soak requirements FORCE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## create .venv (PYTHON=python3.12 creates it again with that Python)
	@echo ".venv is ready, with $$($(VENV)/python --version)"

demo: $(READY) ## follow one backup on this machine: upload, promote, attack, restore
	@command -v gpg >/dev/null || { \
		echo "make demo needs gpg. Run 'apt-get install gnupg' on Debian, or 'brew install gnupg' on macOS." >&2; exit 1; }
	@command -v tar >/dev/null || { \
		echo "make demo needs tar. Run 'apt-get install tar' on Debian; macOS has it." >&2; exit 1; }
	@$(VENV)/python -m demo.story

local: $(READY) ## serve the local cloud on 127.0.0.1:9000 (or BACKUPS_LOCAL_PORT) until Ctrl-C (ARGS="--help" lists its options)
	@$(VENV)/python -m demo.local $(ARGS)

test: $(READY) ## run the tests on all cores; fails if they cover less than 95 % of chalicelib, including branches (ARGS="-k name" selects tests)
	@$(VENV)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder --cov --cov-report= $(ARGS)
ifndef ARGS
	@report=$$($(VENV)/python -m coverage report --skip-covered --show-missing --fail-under=95) || { \
		echo "$$report"; \
		echo "make test: the tests cover less than 95 % of chalicelib." >&2; \
		exit 1; \
	}
endif

lint: $(READY) ## run ruff (rules and format) and mypy
	@$(VENV)/python -m ruff check .
	@$(VENV)/python -m ruff format --check .
	@$(VENV)/python -m mypy

format: $(READY) ## format the code, and apply ruff's automatic fixes
	@$(VENV)/python -m ruff check --quiet --fix-only .
	@$(VENV)/python -m ruff format .

bench: $(READY) ## measure the app and its alternatives (ARGS="--help" lists the parts)
	@$(VENV)/python -m benchmarks $(ARGS)

policies: $(READY) ## generate the functions' IAM policies in .chalice/ (STAGE=prod)
	@$(VENV)/python -m admin policies --stage $(STAGE)

deploy: $(READY) ## set up the account and deploy the app; safe to repeat (STAGE=prod)
	@$(VENV)/python -m admin deploy --stage $(STAGE) $(ARGS)

conformance: $(READY) ## check that an S3 endpoint follows the rules that the vault relies on (ENDPOINT=http://...)
	@if [ -z "$(ENDPOINT)" ]; then \
		echo "Name an S3 endpoint, for example: make conformance ENDPOINT=http://127.0.0.1:9000" >&2; \
		exit 2; \
	fi
	@$(VENV)/python -m pytest tests/localcloud/conformance --endpoint=$(ENDPOINT) $(ARGS)

SOAK_MINUTES ?= 10

soak: $(READY) ## run the long tests: clock changes, races, floods, interleavings, audited years, months, then random histories (SOAK_MINUTES=10; ARGS="--seed 7" or ARGS="--month 7" repeats one seed or month)
ifndef ARGS
	@$(VENV)/python -m pytest -q -s --soak -o faulthandler_timeout=7200 tests/policy/test_patterns.py tests/proofs/test_races.py tests/proofs/test_floods.py tests/proofs/test_interleavings.py tests/proofs/test_audited_year.py tests/proofs/test_mailed_year.py tests/proofs/test_months.py tests/proofs/test_reach.py tests/admin/test_restore_stdout.py
endif
	@$(VENV)/python -m tests.proofs.soak --minutes $(SOAK_MINUTES) $(ARGS)

requirements: ## pin and hash the requirements again, with uv (ARGS=--upgrade allows newer versions)
	@command -v uv >/dev/null || { echo "make requirements needs uv. Run 'pipx install uv', or 'brew install uv' on macOS." >&2; exit 1; }
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 requirements.in -o requirements.txt $(ARGS)
	@uv pip compile --quiet --universal --generate-hashes --python-version 3.11 requirements-dev.in -o requirements-dev.txt $(ARGS)

# The stamp contains the directory of .venv, whose scripts stop working if it is moved.
# PYTHON= on the command line creates .venv again with that Python.
ifeq ($(origin PYTHON),command line)
$(READY): FORCE
else ifneq ($(shell cat $(READY) 2>/dev/null && $(VENV)/python -c '' 2>/dev/null && echo runs),$(CURDIR) runs)
$(READY): FORCE
endif

# Chalice deploys for the Python version that runs it. 3.13 is preferred because the benchmarks used it.
# Each candidate is executed, because pyenv and macOS have commands on the PATH that only print an error.
$(READY): requirements.txt requirements-dev.txt
	@if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; \
	else set -- python3.13 "$$HOME"/.pyenv/versions/3.13*/bin/python python3.12 python3.14 python3.11 python3; fi; \
	found=; old=; bare=; \
	for python in "$$@"; do \
		version=$$("$$python" -c 'import sys; print("%d.%02d" % sys.version_info[:2])' 2>/dev/null) || continue; \
		case $$version in [12].*|3.0*|3.10) old=$$python; continue;; esac; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || { bare=$$python; continue; }; \
		found=$$python; break; \
	done; \
	if [ -z "$$found" ]; then \
		if [ -n "$$bare" ]; then \
			echo "$$bare cannot create virtual environments; run 'apt-get install python3-venv' on Debian, or name another Python with PYTHON=/path/to/python."; \
		elif [ -n "$$old" ]; then \
			echo "Python 3.11 or newer is needed, but $$old is $$("$$old" -c 'import platform; print(platform.python_version())'); install a newer Python, or name it with PYTHON=/path/to/python."; \
		else \
			echo "Python 3.11 or newer is needed, but none of these commands works: $$*. Install Python, or name it with PYTHON=/path/to/python."; \
		fi >&2; \
		exit 1; \
	fi; \
	case $$version in 3.1[1-4]) ;; *) \
		echo "Python $$version is untested with this project (3.11 to 3.14 are tested); if something fails, name another Python with PYTHON=/path/to/python." >&2;; \
	esac; \
	echo "Creating .venv with Python $$version (once) ..." >&2; \
	"$$found" -m venv --clear .venv
	@$(VENV)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.txt
	@$(VENV)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@echo "$(CURDIR)" >$@
