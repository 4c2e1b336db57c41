# Everything a reader or a maintainer does. Each target first installs what it needs into .venv.

PYTHON ?= python3
K ?= 1
BIN := .venv/bin
READY := .venv/ready
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install -c constraints.txt

# Idle threads sleep instead of spinning: slower on quiet cores, much faster on busy ones.
run test execute seeds: export OMP_WAIT_POLICY := PASSIVE

.PHONY: help run lab site test lint execute seeds weights bench links

help: ## list these commands (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: $(READY) ## execute every lesson, and build the site of them
	@$(BIN)/python tools/notebooks.py run

lab: $(READY) ## open lesson 00 in JupyterLab
	@$(BIN)/jupyter lab notebooks/00_why_autoencoders.ipynb

site: $(READY) ## build the site of the stored notebooks: build/site/index.html
	@rm -rf build/site && $(BIN)/sphinx-build -qWEc docs -d build/doctrees . build/site

test: $(READY)-test ## run all tests, of the library and of the notebooks
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --doctest-modules tests convae_lib
	@$(BIN)/pytest --nbval notebooks

lint: $(READY)-dev ## check style, formatting and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy --strict convae_lib

execute: $(READY) ## for authors: run paired/*.py and store outputs (make execute ONLY="03 04")
	@$(BIN)/python tools/notebooks.py execute $(ONLY)

seeds: $(READY) ## for authors: list assertions that fail with other seeds (make seeds K=1 ONLY="03")
	@$(BIN)/python tools/seeds.py $(K) $(ONLY)

weights: $(READY) ## for authors: train the shipped networks again (needs all of MNIST)
	@$(BIN)/python tools/make_weights.py

bench: $(READY)-bench ## for authors: measure the stored results again (hours; QUICK=1: two minutes)
	@$(BIN)/python benchmarks/bench.py $(ONLY)

links: ## stamp the repository's address everywhere (make links REPO=owner/name)
	@$(PYTHON) tools/links.py $(REPO)
	@for stamp in $(READY)*; do if [ -e $$stamp ]; then touch $$stamp; fi; done

$(READY): pyproject.toml constraints.txt
	@echo "[1/3] creating .venv"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv
	@echo "[2/3] installing PyTorch (the largest part: minutes on a slow line)"
	@$(PIP) torch torchvision
	@echo "[3/3] installing the course and what it needs"
	@$(PIP) -e '.[notebooks,site]'
	@touch $@

# One extra each, on top of the above: .venv/ready-test has what the tests need, and so on.
$(READY)-test $(READY)-dev $(READY)-bench: $(READY)-%: $(READY)
	@echo "installing what \`make $(if $(filter dev,$*),lint,$*)\` needs"
	@$(PIP) -e '.[$*]'
	@touch $@
