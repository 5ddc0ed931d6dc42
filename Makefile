# `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
PORT ?= 8000
SEED ?= $(shell date +%s)
BIN := .venv/bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.installed ## make .venv with the crm command in it

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with make setup PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "This Python cannot make environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making .venv with everything in it; this takes about a minute ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: constraints
constraints: ## write constraints.txt again, with the newest releases that pyproject.toml allows
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder" \
	  && "$$folder/bin/pip" install --quiet --disable-pip-version-check --editable '.[bench,dev]' \
	  && "$$folder/bin/pip" freeze --disable-pip-version-check --all --exclude-editable --exclude pip >"$$folder/found" \
	  && { sed '/^[^#]/,$$d' constraints.txt; cat "$$folder/found"; } >"$$folder/new" && cp "$$folder/new" constraints.txt

.PHONY: run
run: setup ## serve a demo instance on 127.0.0.1:8000 (PORT=8001 for another port) and push to it
	@$(BIN)/python -m crm_core.demo --folder .demo --port $(PORT)

.PHONY: translations
translations: setup ## add new messages to every catalogue of translations, and remove old ones
	@PYTHONPATH=tests $(BIN)/python tests/translations.py

# Modules go to the process that is free, in their order: browser tests stay last. Three, because many tests wait.
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup ## run every test, in three processes; as root with apt, system programs that are missing are installed first
	@sh tests/system.sh
	@$(BIN)/python -m pytest -q $(SPREAD)

.PHONY: coverage
coverage: setup ## run every test and print what was executed, in the processes that tests start too; ONLY=tests/unit
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q $(ONLY); ended=$$?; $(BIN)/coverage combine --quiet && $(BIN)/coverage report; exit $$ended

.PHONY: orders
orders: setup ## run the contract's tests in reverse and in random order, or SEED=7
	@$(BIN)/python -m pytest -q $(SPREAD) --reverse tests/contract
	@$(BIN)/python -m pytest -q $(SPREAD) --random-order $(SEED) tests/contract

.PHONY: contract
contract: setup ## run the contract's tests through the manager, through nginx, and with Quart before the API; or BACKEND=postgresql
	@test "$(BACKEND)" != postgresql || { PYTHONPATH=tests $(BIN)/python -m pytest -q -p fronts.on_postgresql tests/contract; exit $$?; }
	@test "$(BACKEND)" = postgresql || for front in manager nginx framework; do PYTHONPATH=tests $(BIN)/python -m pytest -q -p fronts.through --front $$front tests/contract || exit 1; done

.PHONY: check
check: setup ## lint, types, direction of imports, docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -m 'not slow' tests/meta/test_docs_*.py tests/meta/test_language.py tests/meta/test_import_circles.py
	@find crm_core plugins -name '*.py' | xargs cat | wc -l | awk '{print "lines of crm_core and plugins: " $$1}'

.PHONY: docs
docs: setup ## build the documentation as a site that needs no network, in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "Open site/index.html in a browser."

.PHONY: bench
bench: setup ## run the benchmarks, or ONLY="writes speed.push"; exit 1 below a floor
	@$(BIN)/python -c 'import fastapi' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@PYTHONPATH=tests $(BIN)/python -m benchmarks $(ONLY)

.PHONY: loop-watch
loop-watch: setup ## print the longest callback on the event loop for each path, with 200,000 customers and 10,000 tenants
	@CRM_LOOP_CUSTOMERS=200000 $(BIN)/python -m pytest -q -s --timeout 900 tests/integration/test_event_loop.py

.PHONY: fuzz
fuzz: setup ## 100,000 hostile requests for each signature scheme, and 20,000 of each to a running server
	@CRM_FUZZ=100000 $(BIN)/python -m pytest -q -s --timeout 1800 -k hostile tests/plugins tests/integration/test_fuzz_live.py

.PHONY: faults
faults: setup ## let each system call of the store fail, or kill it there; NAME="commit fold"
	@sh tests/system.sh strace:strace
	@PYTHONPATH=tests $(BIN)/python -m faults.run $(NAME)

.PHONY: mutants
mutants: setup ## list the changes to verifiers, keys, sync and access that no test notices (an hour), or NAME="crm_rfc9421*"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[mutants]'
	@nice -n 19 $(BIN)/python tests/mutants/run.py $(NAME)

.PHONY: sync-soak
sync-soak: setup ## sync 20,000 records in both directions through 80 kills, and compare both sides
	@$(BIN)/python tests/soak/run.py --records 20000 --writers 8 --rounds 20

.PHONY: migrate-soak
migrate-soak: setup ## copy 50,000 records and 20,000 log entries to SQLite and back, through kills; BACKEND=postgresql: to PostgreSQL
	@test "$(BACKEND)" = postgresql || $(BIN)/python tests/soak/migrate.py
	@test "$(BACKEND)" != postgresql || { sh tests/system.sh && $(BIN)/python tests/soak/migrate.py --postgresql; }

.PHONY: failover
failover: setup ## kill the primary of two PostgreSQL servers under load, promote the standby, and look for losses
	@sh tests/system.sh
	@$(BIN)/python tests/soak/failover.py

.PHONY: crash
crash: setup ## kill a writing store 500 times and look for losses; BACKEND=postgresql: a process or the server 100 times
	@test "$(BACKEND)" = postgresql || $(BIN)/python tests/crash/run.py --rounds 500
	@test "$(BACKEND)" != postgresql || { sh tests/system.sh && $(BIN)/python tests/crash/postgresql.py --rounds 100 \
	  && CRM_TWIN=200 $(BIN)/python -m pytest -q --timeout 1800 tests/plugins/test_postgresql_models.py; }
