# Everything a person or a CI does with this checkout. `make` alone says what there is.
PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/ready
QEMU := qemu-system-x86_64
QEMU_PACKAGE := qemu-system-x86
# Clients and peers that nobody here wrote: the tests of the network drive an image with them.
CLIENTS := curl wrk dig nmap ping redis-server dnsmasq ip sysctl
CLIENT_PACKAGES := curl wrk bind9-dnsutils nmap iputils-ping redis-server dnsmasq-base iproute2 procps
JOBS ?= $(shell nproc)
$(if $(shell test "$(JOBS)" -ge 1 2>/dev/null && echo yes),,$(error JOBS=$(JOBS) is no number of processes: give 1 or more))
SUDO := $(shell test "$$(id -u)" = 0 || { test -t 0 && echo sudo || echo sudo -n; })

help: ## Say what there is (this)
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

setup: $(READY) qemu ## Make .venv with everything pinned in pyproject.toml, and install QEMU if it is missing

kernel: $(READY) ## Build the kernel into src/sarab/build/kernel.elf
	@$(MAKE) --no-print-directory $(if $(V),,--silent) -j$(JOBS) -C kernel PYTHON=$(abspath $(PYTHON))

demo: setup kernel ## Build and boot the examples, and show what was measured
	@$(PYTHON) -m examples.demo

test: setup clients lint kernel ## Pass every test, JOBS at a time (without QEMU: say which were skipped)
	$(PYTHON) -m pytest -n $(JOBS) $(PYTEST)

lint: $(READY) ## Check style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

bench: setup kernel ## Measure against Linux, side by side (BENCH="--runs N --only CLAIM ...")
	$(PYTHON) -m bench $(BENCH)

bench-net: setup clients ## Measure the network stack against Linux's, side by side (BENCH="--runs N --only NAME ...")
	$(PYTHON) -m bench.network $(BENCH)

fuzz: $(READY) ## Fuzz every parser, the whole stack and virtio's ring, guided by coverage (FUZZ="--seconds N --only NAME")
	$(PYTHON) -m tests.fuzz.run $(FUZZ)

wheel: setup kernel ## Build dist/sarab-*.whl, its network stack compiled by mypyc: images built with it answer faster
	@$(PYTHON) -c 'import sys; from bench.network.compiled import missing; why = missing(); sys.exit(why and f"The wheel cannot be compiled: {why}.")'
	@rm -rf build/lib.* build/bdist.* dist
	@SARAB_COMPILE=1 $(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls -1 dist/sarab-*.whl

soak: setup kernel clients ## Load a server in an image and in a process for half an hour, and see whether it grows (BENCH="--minutes N")
	$(PYTHON) -m bench.network.soak $(BENCH)

regrtest: setup kernel ## Run CPython's own tests in an image and on Linux, and compare
	$(PYTHON) -m tests.regrtest.run all $(REGRTEST)

suites: setup kernel ## Run h11's, uvicorn's, httpx's ... own tests in an image and on Linux, and compare
	$(PYTHON) -m tests.suites.run all $(SUITES)

clean: ## Remove what was built (not .venv)
	rm -rf build dist src/sarab/build/kernel.elf src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sarab needs Python 3.11 or newer; $(PYTHON3) is older (make PYTHON3=python3.11 ...)" >&2; exit 1; }
	@test -x $(PYTHON) || $(PYTHON3) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON3) cannot make a virtual environment: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(PYTHON) || $(PYTHON3) -m venv $(VENV)
	@echo "Installing what pyproject.toml pins into $(VENV) ..."
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# A machine to boot on. Without one, everything that boots is skipped, so this never fails.
qemu:
	@command -v $(QEMU) >/dev/null || { \
		echo "QEMU is missing: apt-get install $(QEMU_PACKAGE) ..."; \
		{ $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(QEMU_PACKAGE); } >/dev/null 2>&1 \
		|| echo "QEMU could not be installed; as root: apt-get install $(QEMU_PACKAGE). Until then nothing boots."; }

# Without them the tests that need one are skipped, so this never fails either.
clients:
	@PATH="$$PATH:/usr/sbin:/sbin"; for client in $(CLIENTS); do command -v $$client >/dev/null || missing="$$missing $$client"; done; test -z "$$missing" || { \
		echo "Missing clients for the tests of the network:$$missing: apt-get install $(CLIENT_PACKAGES) ..."; \
		{ $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $(CLIENT_PACKAGES); } >/dev/null 2>&1 \
		|| echo "They could not be installed; as root: apt-get install $(CLIENT_PACKAGES). Until then the tests that need them are skipped."; }

.PHONY: help setup kernel demo test lint bench bench-net fuzz wheel soak regrtest suites clean qemu clients
