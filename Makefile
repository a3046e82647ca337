# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the others.
PYTHON ?= python3
BIN := .venv/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster_home
export DAGSTER_EVENT_BATCH_SIZE ?= 1000
export ANALYTICS_PROJECT ?= $(CURDIR)/analytics_assets/shop
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo dev test test-fast lint types bench clean

help: ## List the commands.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/.run ## Make the environment, run a year of the synthetic shop from source to report, and say what was found.
	@$(BIN)/analytics-assets run
	@$(BIN)/analytics-assets findings
	@echo "Open the report in a browser, or look closer:  $(BIN)/analytics-assets tables   or   make dev"

dev: .venv/.run ## Open the Dagster UI on the same history, at http://127.0.0.1:3000.
	@mkdir -p $(DAGSTER_HOME) && test -e $(DAGSTER_HOME)/dagster.yaml || cp -L dagster.yaml $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/dagster dev --workspace workspace.yaml

test: .venv/.dev ## Run every test.
	$(BIN)/pytest -n 2 --dist worksteal

test-fast: .venv/.dev ## Run the tests that take less than two minutes together.
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not acceptance"

lint: .venv/.dev ## Check style, format and layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/.dev ## Check types, strictly.
	$(BIN)/mypy

bench: .venv/.dev ## Measure the shop, a daily run, product analytics against a scan, lifetime value, the history and the warehouse in Postgres, and the road against a script (needs the data of examples/online_retail).
	$(BIN)/python benchmarks/shop.py
	$(BIN)/python benchmarks/daily.py
	$(BIN)/python benchmarks/product_analytics.py
	$(BIN)/python benchmarks/lifetime.py
	$(BIN)/python benchmarks/road.py
	$(BIN)/python benchmarks/history.py
	$(BIN)/python benchmarks/warehouse.py

clean: ## Remove the environment, the tables and the history.
	rm -rf .venv .dagster_home lake exports charts reports

.venv/.run: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing, once ..."
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ui]'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing, once ..."
	@$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[ui,s3,postgres,dev]'
	@touch $@ .venv/.run
