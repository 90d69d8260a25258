# make setup: .venv/bin/farfield. make demo: four paradigms on the embedded data, one report, a little MD. make test: what
# CI runs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-slow lint format bench clean

setup: $(STAMP)

demo: $(STAMP)
	$(BIN)/farfield compare examples/demo/demo.yaml --out runs/demo --workers 2
	$(BIN)/farfield md runs/demo/latent/model.pt embedded:charged_pairs_near --frame 151 --ensemble nvt --steps 2000 --out runs/demo/ammonium_water.traj
	@echo "report: runs/demo/report.html    trajectory: runs/demo/ammonium_water.traj"

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not slow"

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/coulomb.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/neighbors.py

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,label]"
	touch $@

clean:
	rm -rf $(VENV) runs
