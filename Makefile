# Every target that needs the environment makes it first, and skips that when it is up to date.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed

.PHONY: install demo test results bench docs lint clean

install: $(INSTALLED)

# Versions on which all tests have passed; make install CONSTRAINTS= takes the newest instead.
CONSTRAINTS ?= constraints.txt

INSTALL = $(RUN) -m pip install --quiet --disable-pip-version-check --requirement requirements.txt --editable ".[dev]"

$(INSTALLED): pyproject.toml requirements.txt constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "moments_dnns needs Python 3.11 or later: no $(PYTHON) found." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("moments_dnns needs Python 3.11 or later. \
	Received: $(PYTHON) is Python %d.%d; try make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS) || \
	    { echo "Not all of $(CONSTRAINTS) can be had for this Python: the newest versions are taken." >&2; $(INSTALL); })
	@touch $@

demo: install
	$(RUN) -m scripts.demo

# As many tests at a time as there are cores; neighbours on the same one, since they share what took long to make.
PYTEST = $(RUN) -m pytest -n auto --dist worksteal

# The whole suite on TensorFlow, the tests that compute with Keras on every other backend that is installed.
test: install
	KERAS_BACKEND=tensorflow $(PYTEST)
	@for backend in jax torch; do \
	    if $(RUN) -c "import $$backend" 2> /dev/null; then \
	        echo "KERAS_BACKEND=$$backend"; KERAS_BACKEND=$$backend $(PYTEST) -m backend tests || exit 1; \
	    else echo "$$backend is not installed: its tests are skipped"; fi; \
	done

# The experiments that ship in npy/, and docs/results.md: SIZE=quick, cpu or paper. What is there is not run again.
SIZE ?= quick
results: install
	$(RUN) -m scripts.results --size $(SIZE)

# Settings A to F on every installed backend, and models; benchmarks/README.md says what is measured.
bench: install
	$(RUN) -m benchmarks.bench
	$(RUN) -m benchmarks.models

# The site in docs/_build/html; a warning is an error, and so is a link within the site that leads nowhere.
docs: install
	$(RUN) -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf $(VENV) build dist docs/_build docs/notebooks *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
