# Needs Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
# Another Airflow than the newest: make test AIRFLOW='apache-airflow==2.11.2' VENV=.venv-2.11
AIRFLOW ?=
BIN := $(VENV)/bin

.PHONY: demo docs test test-triggerer test-triggerer-together test-browser test-spark format lint-format lint types clean

demo: $(VENV)/installed
	$(BIN)/python demo/run.py

# In three processes for each core. Each begins with a stretch of its own, so that neighbours
# share what takes long to set up, and takes from others when it is done.
test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

# Airflow's own processes (triggerer, scheduler, workers), with its database: takes minutes. What
# measures has the machine for itself.
test-triggerer: test-triggerer-together
	$(BIN)/python -m pytest -m "triggerer and alone"

test-triggerer-together: $(VENV)/installed
	$(BIN)/python -m pytest -m "triggerer and not alone" -n auto --dist loadfile

# The connection form in Airflow's UI, in Chromium: takes a minute. SCREENSHOTS=1 renews docs/images.
test-browser: $(VENV)/installed
	$(BIN)/python -m pytest -m browser

# Jobs on a real Spark of this machine, which is installed here and needs Java: takes minutes.
test-spark: $(VENV)/spark-installed
	$(BIN)/python -m pytest -m spark

# The tables of the documentation that come from the code.
docs: $(VENV)/installed
	$(BIN)/python docs/tables.py

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint-format: $(VENV)/installed
	$(BIN)/ruff format --check .

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/validate-pyproject pyproject.toml

types: $(VENV)/installed
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' $(AIRFLOW)
	touch $@

$(VENV)/spark-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[spark]'
	touch $@
