# make demo | test | lint | bench | faults | up      each installs what is missing first

# The first that is new enough; `make PYTHON=/path/to/python` says another.
OLDEST := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
  $$name -c '$(OLDEST)' 2>/dev/null && echo $$name && break; done)
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

.PHONY: demo up test lint bench faults installed installed-dev
.DEFAULT_GOAL := demo

demo: installed
	@$(PY) manage.py demo $(ARGS)

up: installed
	@$(PY) manage.py up $(ARGS)

test: installed-dev
	@$(PY) -m pytest $(ARGS)

lint: installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -W ignore manage.py makemigrations --check --dry-run

bench: installed-dev
	@$(PY) -m benchmarks $(ARGS)

faults: installed-dev
	@$(PY) -m tests.faults.run $(ARGS)

# Installed anew only when the list changed: its checksum is kept beside the packages.
define install
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(OLDEST)' \
	  || { echo "Engage needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@test -x $(PY) || "$(PYTHON)" -m venv .venv \
	  || { rm -rf .venv; echo "Python cannot make .venv; on Debian: apt install python3-venv"; exit 1; }
	@sum="$$(cat $(1) | cksum)"; \
	  if [ "$$sum" != "$$(cat .venv/$(2) 2>/dev/null)" ]; then \
	    echo "Installing $(lastword $(1)) into .venv (a few minutes the first time)"; \
	    $(PIP) install -r $(lastword $(1)) && echo "$$sum" > .venv/$(2); \
	  fi
endef

installed:
	$(call install,requirements.txt,installed)

installed-dev:
	$(call install,requirements.txt requirements-dev.txt,installed-dev)
