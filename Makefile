# Everything a reader or a maintainer does. Each target sets up .venv first, once.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install -c constraints.txt

# Idle threads sleep instead of spinning: slower on quiet cores, much faster beside a busy process.
run test execute: export OMP_WAIT_POLICY := PASSIVE

.PHONY: run lab test site execute weights bench links

run: $(READY) ## execute every lesson, and build the site of them
	@$(BIN)/python tools/notebooks.py run

lab: $(READY) ## open lesson 00 in JupyterLab
	@$(BIN)/jupyter lab notebooks/00_why_autoencoders.ipynb

test: $(READY) ## all tests, of the library and of the notebooks
	@$(BIN)/pytest tests && $(BIN)/pytest --nbval notebooks

site: $(READY) ## build the site of the stored notebooks: build/site/index.html
	@rm -rf build/site && $(BIN)/sphinx-build -qWEc docs -d build/doctrees . build/site

execute: $(READY) ## for authors: run paired/*.py and store outputs (make execute ONLY="03 04")
	@$(BIN)/python tools/notebooks.py execute $(ONLY)

weights: $(READY) ## for authors: train the shipped networks anew (needs all of MNIST)
	@$(BIN)/python benchmarks/make_weights.py

bench: $(READY) ## for authors: measure the stored results anew (three and a half hours; QUICK=1: two minutes)
	@$(PIP) -e '.[bench]' && $(BIN)/python benchmarks/bench.py $(ONLY)

links: ## stamp the repository's address everywhere (make links REPO=owner/name)
	@$(PYTHON) tools/links.py $(REPO)
	@if [ -e $(READY) ]; then touch $(READY); fi

$(READY): pyproject.toml constraints.txt
	@echo "[1/3] creating .venv"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv
	@echo "[2/3] installing PyTorch (the largest part: minutes on a slow line)"
	@$(PIP) torch torchvision
	@echo "[3/3] installing the course and what it needs"
	@$(PIP) -e '.[notebooks,site,test]'
	@touch $@
