# What each target needs is installed first; a second call finds it there and starts in about a second.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# PACKAGE:COMMAND, see .ci/install-packages.
RUN_PACKAGES := docker-registry:docker-registry redis-server:redis-server nginx-light:nginx
BENCH_PACKAGES := $(RUN_PACKAGES) wrk:wrk skopeo:skopeo
TEST_PACKAGES := $(BENCH_PACKAGES) curl:curl wget:wget openssl:openssl
# Compose runs in a network of its own, on base images made of this machine's programs.
SYSTEM_PACKAGES := $(TEST_PACKAGES) docker.io:dockerd iproute2:ip iptables:iptables \
	busybox:busybox python3-venv podman:podman buildah:buildah containerd:containerd chromium:chromium

# Debian trixie's newer build of a package, unpacked beside the installed one, for the tests that want both.
TRIXIE := .cache/trixie
TRIXIE_PACKAGES := docker-registry
TRIXIE_SYSTEM_PACKAGES := docker-compose promtool

COMMANDS := authsvc authsvc-license docker-credential-authsvc
ARGS ?=
PYTEST_ARGS ?=
# Twice the cores, since many tests wait for something; so tests that get in each other's way show it on any machine.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))

# Its own name, not that of the link: what runs stays in its environment when .venv gets another one.
PY = $(shell readlink -f .venv)/bin/python
# `python -m` puts this folder on the path before -p looks for the plugin.
# Where the environment forbids bytecode, each worker would compile all tests and their assertions again.
PYTEST = env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest -p tests.plugins.skips -p tests.plugins.causes \
	--tb=short --durations=10 --durations-min=1

.PHONY: help
help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

.PHONY: run
run: ## install what is missing and run `authsvc up $(ARGS)` in the foreground
	@.ci/install-packages $(RUN_PACKAGES)
	@.ci/install-python runtime
	@.ci/link-commands $(COMMANDS)
	@exec .venv/bin/authsvc up $(ARGS)

.PHONY: test
test: dev ## lint, then the tests that need no engine, browser or compose
	@# A first look at the tests leaves their bytecode for the workers; mypy has use for one core only.
	@$(PYTEST) --collect-only -qq >/dev/null 2>&1 & failed=0; $(MAKE) lint || failed=$$?; wait; exit $$failed
	@.ci/install-packages $(TEST_PACKAGES)
	@.ci/fetch-trixie $(TRIXIE_PACKAGES) $(TRIXIE) || [ "$${CI:-}" != true ]
	@$(PYTEST) -n $(WORKERS) --dist worksteal -m "not system" $(PYTEST_ARGS)

.PHONY: test-system
test-system: dev ## the tests that need an engine, a browser or compose (root)
	@.ci/install-packages $(SYSTEM_PACKAGES)
	@.ci/fetch-trixie $(TRIXIE_SYSTEM_PACKAGES) $(TRIXIE)
	@# Two at once: the tests of compose.yaml take one engine, one after the other, and the others less long than they.
	@$(PYTEST) -n 2 --dist loadscope -m system $(PYTEST_ARGS)

# The core's own unit tests; none needs a server.
CORE_TESTS := $(addprefix tests/,spec tenancy signing credentials policy_matrix/test_matrix.py activity audit images \
	upstreams webhooks migration) $(patsubst %,tests/test_%.py,policy policy_licenses policy_machines issuance client \
	outcomes system_token preflight batch_signer fair_share in_flight license_file bounded_json redaction printable \
	refusal_sentences throttle)

.PHONY: coverage
coverage: dev ## lines and branches of the core that its unit tests run, at least 85 %
	@$(PY) -m coverage run -m pytest -q -p tests.plugins.skips $(CORE_TESTS)
	@$(PY) -m coverage report

.PHONY: mutation
mutation: dev ## mistakes in modules that guard security that their unit tests notice, at least 85 % (ARGS=--help)
	@$(PY) -m tests.mutation $(ARGS)

.PHONY: bench
bench: dev ## CPU of a token, beside a bare handler and recorded ratios (ARGS=--help); without ARGS bench-linked, too
	@.ci/install-packages $(BENCH_PACKAGES)
	@failed=0; $(PY) -m tests.bench $(ARGS) || failed=$$?; \
		[ -n "$(ARGS)" ] || $(PY) -m tests.bench.linked; \
		exit $$failed

.PHONY: bench-events
bench-events: dev ## 50,000 events of the registry, each counted once, and what tokens wait meanwhile (ARGS=--help)
	@.ci/install-packages $(RUN_PACKAGES)
	@$(PY) -m tests.bench.events $(ARGS)

.PHONY: bench-activity
bench-activity: dev ## 50,000 registry events against an independent count, and what a license takes in a year (ARGS=--help)
	@.ci/install-packages $(RUN_PACKAGES)
	@$(PY) -m tests.bench.activity $(ARGS)

.PHONY: bench-linked
bench-linked: dev ## CPU, rate and memory of pulls of linked images beside plain nginx, and who waits (ARGS=--help)
	@.ci/install-packages $(RUN_PACKAGES)
	@$(PY) -m tests.bench.linked $(ARGS)

.PHONY: bench-images
bench-images: dev ## a crawl of 10,000 tags: requests to the registry and CPU for each, and lists page by page (ARGS=--help)
	@.ci/install-packages $(RUN_PACKAGES)
	@$(PY) -m tests.bench.images $(ARGS)

.PHONY: scale
scale: dev ## 1,000,000 licenses, 100,000 members, 10,000 apps: memory, tokens, lists, audit, import (ARGS=--help)
	@.ci/install-packages $(BENCH_PACKAGES)
	@$(PY) -m tests.bench.scale $(ARGS)

.PHONY: bench-portal
bench-portal: dev ## every page of the portal at 100,000 licenses and 10,000 tags: time and bytes (ARGS=--help)
	@.ci/install-packages $(RUN_PACKAGES)
	@$(PY) -m tests.bench.portal $(ARGS)

.PHONY: pictures
pictures: dev ## build/pictures: every page of the portal as people see it, light and dark, wide and narrow
	@.ci/install-packages $(RUN_PACKAGES) chromium:chromium
	@rm -rf build/pictures
	@$(PY) -m tests.support.portal_pictures build/pictures

.PHONY: lint
lint: dev ## ruff (rules and format) and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m mypy

.PHONY: docs
docs: dev ## build/site: the documentation as a site, in strict mode
	@rm -rf build/site
	@$(PY) -m mkdocs build --quiet

.PHONY: format
format: dev ## let ruff mend and format what it can
	@$(PY) -m ruff check --fix --quiet . || true
	@$(PY) -m ruff format .

.PHONY: dev
dev: ## make .venv with everything that development needs
	@.ci/install-python dev

.PHONY: dist
dist: ## dist/authsvc-license.pyz: the license holder's tools in one file, for any Python from 3.9 on
	@.ci/install-python runtime
	@.venv/bin/python .ci/make-zipapp dist/authsvc-license.pyz

# --universal: one lock for every Python from 3.11 on. No index is named, so that everybody's own mirror serves.
LOCK = $(PY) -m uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--upgrade --custom-compile-command "make lock" pyproject.toml

.PHONY: lock
lock: dev ## renew .ci/lock/*.txt: the newest versions that pyproject.toml allows, with hashes
	@$(LOCK) --group build --output-file .ci/lock/runtime.txt
	@$(LOCK) --group dev --constraints .ci/lock/runtime.txt --output-file .ci/lock/dev.txt
