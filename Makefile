# `make demo` and `make test` each work on a fresh clone: they build .venv from requirements.lock first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_WORKERS ?= 2

.PHONY: install demo demo-detect test lint bench docs lock notebook clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Set PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (about 1.5 GB, a minute or so the first time)"
	@grep -A20 '^uv==' requirements.lock | awk 'NR>1 && /^[a-z]/{exit} {print}' > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m flows.base.warm
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m flows.cli.demo

demo-detect: $(STAMP)
	@$(BIN)/python -m flows.cli.demo_detect

test: $(STAMP)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	@$(BIN)/python -m benchmarks.run

docs: $(STAMP)
	$(BIN)/pdoc --docformat numpy --output-directory site landmark_ops
	@echo "open site/index.html; task guides are in docs/"

notebook: $(STAMP)
	$(BIN)/python notebooks/build.py

lock:
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --extra dev --extra bench --extra convert --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache
