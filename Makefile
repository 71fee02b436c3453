# Everything starts from Python (3.11 to 3.13) and make: each target first builds what it needs.
#
#   make demo     two scripted policies on held-out days of a real feeder: scores, a picture, Parquet
#   make test     the quick tests: a proof of everything, in a few minutes
#   make test-slow  the other tests; what merges has passed both
#   make lint     ruff, mypy, import directions
#   make bench    timings
#   make docs     the documentation site, into site/
#   make rllib    RLlib in an environment of its own, .venv-rllib, and its tests on a local Ray cluster
#   make adapters the pages of TorchRL, BenchMARL and AgileRL, each in an environment of its own
#   make setup    all that tests, benchmarks and oracles need, into .venv
#   make clean    removes what make made, .venv included

PYTHON      ?= python3
VENV        ?= .venv
TYPES       := .venv-types
RLLIB       := .venv-rllib
ADAPTERS    := torchrl benchmarl agilerl
PYTEST_ARGS ?=
EPISODES    ?= 4
OUT         ?= runs/demo

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
RUNTIME := $(VENV)/.installed-runtime
FULL    := $(VENV)/.installed-full
RLLIB_READY := $(RLLIB)/.installed

SITE = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-slow lint lint-style lint-types lint-imports plain-copy bench docs rllib adapters $(ADAPTERS) clean

help:
	@sed -n 's/^#   //p' Makefile

# The stamps are written last, so an interrupted installation starts again at the next make.
# An editable install alone is hidden by a folder of data called distgrid/: see tools/checkout_first.py.
$(RUNTIME): pyproject.toml constraints.txt tools/checkout_first.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "distgrid needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "installing distgrid into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) -e '.[opendss]'
	@cp tools/checkout_first.py "$(SITE)/_distgrid_checkout_first.py"
	@echo 'import _distgrid_checkout_first' > "$(SITE)/_distgrid_checkout_first.pth"
	@touch $@

# torch goes first and by its pin, so that no later requirement can choose another build of it.
$(FULL): $(RUNTIME)
	@echo "installing what tests, benchmarks and oracles need ..."
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) -e '.[rl,ray,morl,agents,tui,bench,opendss,optimal,oracle,dev]'
	@touch $@

setup: $(FULL)

# RLlib pins one release of Gymnasium, which is not that of constraints.txt: hence an environment of its own.
$(RLLIB_READY): pyproject.toml constraints.txt tools/checkout_first.py
	@echo "installing RLlib into $(RLLIB) ..."
	@test -x $(RLLIB)/bin/python || $(PYTHON) -m venv --clear $(RLLIB)
	@grep -v '^gymnasium==' constraints.txt > $(RLLIB)/constraints.txt
	@$(RLLIB)/bin/python -m pip install --quiet --disable-pip-version-check -c $(RLLIB)/constraints.txt \
	  "$$(grep '^torch==' constraints.txt)"
	@$(RLLIB)/bin/python -m pip install --quiet --disable-pip-version-check -c $(RLLIB)/constraints.txt \
	  -e '.[rllib,agents]' pytest pytest-timeout hypothesis
	@site=$$($(RLLIB)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	  cp tools/checkout_first.py "$$site/_distgrid_checkout_first.py"; \
	  echo 'import _distgrid_checkout_first' > "$$site/_distgrid_checkout_first.pth"
	@touch $@

# Files that pytest does not collect by itself: the main suite runs where RLlib cannot be installed.
rllib: $(RLLIB_READY)
	@$(RLLIB)/bin/python -m pytest tests/rllib/check_*.py $(PYTEST_ARGS)

# Their pins collide with those of constraints.txt, and with each other's.
.venv-%/.installed: tests/adapters/%.txt pyproject.toml constraints.txt tools/checkout_first.py
	@echo "installing $* into $(@D) ..."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv --clear $(@D)
	@grep -v '^gymnasium==\|^pettingzoo==' constraints.txt > $(@D)/constraints.txt
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $(@D)/constraints.txt \
	  "$$(grep '^torch==' constraints.txt)"
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c $(@D)/constraints.txt \
	  -e '.[agents]' -r $< pytest pytest-timeout hypothesis
	@site=$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	  cp tools/checkout_first.py "$$site/_distgrid_checkout_first.py"; \
	  echo 'import _distgrid_checkout_first' > "$$site/_distgrid_checkout_first.pth"
	@touch $@

$(ADAPTERS): %: .venv-%/.installed
	@.venv-$*/bin/python -m pytest tests/adapters/check_pages.py $(PYTEST_ARGS)

adapters: $(ADAPTERS)

# --fresh: a demonstration plays anew each time, also after an update of the code or the data.
demo: $(RUNTIME)
	@$(BIN)/distgrid run distgrid/VoltVar-33bw-v1 --policy do-nothing,volt-var-ieee1547 \
	  --split test --episodes $(EPISODES) --out $(OUT) --fresh

test: $(FULL)
	@$(BIN)/pytest -n auto --dist loadfile -m "not slow" $(PYTEST_ARGS)

test-slow: $(FULL)
	@$(BIN)/pytest -n auto --dist loadfile -m slow $(PYTEST_ARGS)

lint: lint-style lint-types lint-imports

lint-style: $(FULL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy and import-linter look at a plain (not editable) copy of the package: the import hook of an
# editable install is invisible to them, and this copy is what ships. A build folder left by an earlier
# build would bring back deleted modules.
plain-copy: $(FULL)
	@rm -rf $(TYPES) build
	@$(PIP) --no-deps --no-build-isolation --target $(TYPES) .
	@rm -rf build

lint-types: plain-copy
	MYPYPATH=$(TYPES):tools $(BIN)/mypy $(TYPES)/distgrid tests tools | sed 's#^$(TYPES)/distgrid/##'

lint-imports: plain-copy
	PYTHONPATH=$(TYPES) $(BIN)/lint-imports

bench: $(FULL)
	@$(BIN)/distgrid bench pf
	@$(BIN)/distgrid bench pf --phases 3
	@$(BIN)/distgrid bench env
	@$(BIN)/distgrid bench vector
	@$(BIN)/distgrid bench marl
	@$(BIN)/distgrid bench rollout
	@$(BIN)/distgrid bench gradient
	@$(BIN)/distgrid bench hosting
	@$(BIN)/distgrid bench opf

docs: $(FULL)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "the site is in site/"

clean:
	rm -rf $(VENV) $(TYPES) $(RLLIB) $(ADAPTERS:%=.venv-%) build dist site .site_cache *.egg-info .pytest_cache .mypy_cache .ruff_cache \
	  .hypothesis .import_linter_cache
