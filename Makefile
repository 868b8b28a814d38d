PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test quick lint docs site bench clean

# Those of the classifiers in pyproject.toml.
PYTHONS := 3.11 3.12 3.13

# What guards the mathematics, the tables and the layout.
QUICK := layout method_table quality wording \
	quadrature along panels certify methods gates leaves \
	derivatives_autograd derivatives_chain derivatives_jets derivatives_mlp \
	dataset survey groups baselines numerals output rowgroups encoding states summary

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	$(INSTALL) --editable '.[test,lint]'
	@touch $@

demo: $(VENV)/installed  ## explain the sample data and print its top pairs
	$(BIN)/ihcli explain sample_data/breast_cancer_sklearn.joblib sample_data/breast_cancer.parquet \
		--key patient --target malignant -o demo-run --overwrite
	$(BIN)/ihcli interactions demo-run --top-k 10

test: $(VENV)/installed-for-tests  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

quick: $(VENV)/installed-for-tests  ## run the tests of the mathematics, the tables and the layout
	$(BIN)/python -m pytest -q -n 2 -m 'not slow' $(QUICK:%=tests/test_%.py)

.PHONY: test-pythons
test-pythons:  ## the same in .venv-VERSION under every Python that pyproject.toml promises and that is here
	@set -e; for version in $(PYTHONS); do \
		if python$$version -c '' 2>/dev/null; then \
			echo "Python $$version"; $(MAKE) quick PYTHON=python$$version VENV=.venv-$$version; \
		else \
			echo "Python $$version is not here"; \
		fi; \
	done

lint: $(VENV)/installed-for-tests  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed  ## write the generated parts of the pages in docs/
	$(BIN)/python docs/make.py

$(VENV)/installed-for-site: $(VENV)/installed
	$(INSTALL) --editable '.[site]'
	@touch $@

site: $(VENV)/installed-for-site  ## make a site of the pages in docs/, in build/site
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -c docs -d build/site-pages . build/site
	@echo 'Open build/site/index.html'

$(VENV)/installed-for-bench: $(VENV)/installed
	$(INSTALL) --editable '.[bench]'
	@touch $@

PICTURED := sample_data/diabetes_softplus.pkl sample_data/diabetes.csv --key patient --label progression

.PHONY: pictures
pictures: $(VENV)/installed-for-tests  ## take the README's pictures again, of the report with chromium
	$(BIN)/ihcli explain $(PICTURED) -o build/pictured --overwrite
	$(BIN)/ihcli plot build/pictured dependence --feature body_mass_index --color-by blood_pressure \
		-o docs/images/dependence.png --overwrite
	$(BIN)/ihcli report build/pictured -o build/report.html --overwrite
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,860 --virtual-time-budget=10000 \
		--screenshot='$(CURDIR)/docs/images/report.png' 'file://$(CURDIR)/build/report.html'

bench: $(VENV)/installed-for-bench  ## measure speed and memory; writes benchmarks/results/
	$(BIN)/python -m benchmarks.run

.PHONY: bench-peers
bench-peers: bench-tuned  ## the same for the reference implementation, in .venv-peers, and for tuned peers
	$(PYTHON) -m venv .venv-peers
	echo '*' > .venv-peers/.gitignore
	-.venv-peers/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		path-explain tensorflow-cpu torch matplotlib pandas tqdm
	$(BIN)/python -m benchmarks.run peers

.PHONY: bench-tuned
bench-tuned: $(VENV)/installed-for-bench  ## the same for jax, in .venv-jax, torch, captum and shap at their best
	$(PYTHON) -m venv .venv-jax
	echo '*' > .venv-jax/.gitignore
	-.venv-jax/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt jax
	$(BIN)/python -m benchmarks.run tuned

.PHONY: honesty
honesty: $(VENV)/installed-for-tests  ## judge what is reported of more trained networks' rows than tests do (HONESTY_ROWS)
	HONESTY_ROWS=$(or $(HONESTY_ROWS),200) $(BIN)/python -m pytest -q -s \
		tests/test_matrix_honesty.py tests/test_deceiving.py tests/test_sampling_honesty.py \
		tests/test_openings_honesty.py

.PHONY: fuzz
fuzz: $(VENV)/installed-for-tests  ## read damaged files for ten minutes (FUZZ_SECONDS)
	$(BIN)/python tests/fuzzing.py $(or $(FUZZ_SECONDS),600)

.PHONY: fuzz-operators
fuzz-operators: $(VENV)/installed-for-tests  ## call what TorchScript files may use with odd arguments (FUZZ_CALLS of each)
	$(BIN)/python tests/operator_fuzzing.py $(or $(FUZZ_CALLS),12)

.PHONY: bench-texts
bench-texts: $(VENV)/installed-for-bench  ## the same for a checkpoint: CHECKPOINT=directory TEXTS=table COLUMN=name
	CHECKPOINT=$(CHECKPOINT) TEXTS=$(TEXTS) COLUMN=$(COLUMN) $(BIN)/python -m benchmarks.run texts

.PHONY: bench-sentences
bench-sentences: $(VENV)/installed-for-bench  ## a CNN trained on SST beside a checkpoint: SST=directory CHECKPOINT=directory
	SST=$(SST) CHECKPOINT=$(CHECKPOINT) $(BIN)/python -m benchmarks.run sentences

.PHONY: paper
paper: $(VENV)/installed-for-tests  ## do the papers' experiments again, for docs/paper.md: DATA=directory CHECKPOINT=directory
	$(BIN)/python -m benchmarks.paper $(ONLY) --data '$(DATA)' --checkpoint '$(CHECKPOINT)'

.PHONY: bench-gpu
bench-gpu: $(VENV)/installed-for-bench  ## the paper's table and a stream on a GPU, in eight minutes; texts as below
	CHECKPOINT=$(CHECKPOINT) TEXTS=$(TEXTS) COLUMN=$(COLUMN) $(BIN)/python -m benchmarks.run gpu

clean:  ## remove what these targets made
	rm -rf $(VENV) .venv-* demo-run build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
