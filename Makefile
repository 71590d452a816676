# The two commands of the README are `make demo` and `make test`; everything else is a part of one of them.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
C_SOURCES := $(wildcard memtierd/native/*.c memtierd/native/*.h memtierd/native/build_native.py)
MEME_SOURCES := $(wildcard memtierd/meme/*.c memtierd/meme/*.h memtierd/meme/build.py)

# Beside the guest's own: what the kernel that runs the other tests may lack the features for.
GUEST_TESTS := tests/vm tests/native/test_idle.py::test_accesses_of_a_real_process \
	tests/native/test_scan.py::test_writes_of_a_real_process \
	tests/host/test_trackers.py

.PHONY: demo test lint unit guest bench schema docs install uninstall deb clean bin/memtierd

# Where `make install` puts it; DESTDIR goes before all of them.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
export PREFIX SYSCONFDIR DESTDIR

demo: $(VENV)/.runtime bin/meme
	@scripts/demo.sh

test: lint unit guest

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports

unit: $(VENV)/.dev bin/meme bin/memtierd
	scripts/test-packages.sh
	$(RUN) pytest -q

# The guest tests need QEMU and a kernel of their own; MEMTIERD_VM=require makes it an error not to have them.
guest: $(VENV)/.dev bin/meme
	@if tests/vm/run.sh check; then \
	    exec tests/vm/run.sh pytest --slow 2,3 -q $(GUEST_TESTS); \
	elif [ "$(MEMTIERD_VM)" = require ]; then \
	    echo "guest tests: FAILED, they are required (MEMTIERD_VM=require) and can't run here"; exit 1; \
	else \
	    echo "guest tests: DID NOT RUN, see the line above; everything else passed"; \
	fi

bench: $(VENV)/.dev
	$(VENV)/bin/python benchmarks/bench_scan.py
	$(VENV)/bin/python benchmarks/bench_tick.py
	$(VENV)/bin/python -m benchmarks.bench_prompt

# The virtual environment, with memtierd installed from this tree.
$(VENV)/.runtime: pyproject.toml setup.py $(C_SOURCES) $(MEME_SOURCES)
	scripts/system-packages.sh
	[ -x $(VENV)/bin/python ] || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -e '.[metrics]'
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(VENV)/bin/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

# The JSON Schema of configuration files; a test compares it with the declarations.
schema: $(VENV)/.runtime
	$(VENV)/bin/memtierd -schema > schemas/memtierd.schema.json

# Manual pages, completions and the page about the prompt, all from the declarations; tests compare them, too.
docs: $(VENV)/.runtime bin/meme
	$(RUN) memtierd.manual docs
	$(RUN) memtierd.prompt.docs > docs/prompt.md

# The program, the service, its first configuration, manual pages and completions.
install: $(VENV)/.runtime bin/meme
	scripts/install.sh install

uninstall:
	scripts/install.sh uninstall

# A Debian package for the release that it is made on: dist/memtierd_VERSION_ARCHITECTURE.deb
deb: $(VENV)/.runtime bin/meme
	scripts/build-deb.sh

bin/memtierd: $(VENV)/.runtime
	@mkdir -p bin
	@printf '#!/bin/sh\nexec "%s/$(VENV)/bin/memtierd" "$$@"\n' "$(CURDIR)" > $@
	@chmod +x $@

bin/meme: $(MEME_SOURCES)
	scripts/system-packages.sh
	@mkdir -p bin
	$(PYTHON) memtierd/meme/build.py $@

clean:
	rm -rf $(VENV) bin build dist *.egg-info memtierd/native/*.so memtierd/native/_memtierd.c
