# Tocsin. `make` alone shows what there is.
# PYTHON names the Python that is set up and, by a deploy, shipped: make deploy STAGE=prod PYTHON=python3.12
PYTHON ?= python3
STAGE ?=
SEEDS ?= 200
FROM ?= 0
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help python setup setup-tests run test acceptance sim check deploy bench clean

help: ## this list
	@echo "Tocsin: an alert router. What you can do:"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make run DEMO=0           without the sample incident and day; INBOX_PORT and TOCSIN_PORT choose other ports"
	@echo "  make deploy STAGE=prod    with AWS_PROFILE (or keys) and AWS_REGION; PARAMETERS=file writes secrets first"
	@echo "  .venv/bin/tocsin          the command line, after make setup"

# Any Python can run this line, so that even an old one can say that it is too old.
CHECK := import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("set-up: Python 3.11, 3.12 or 3.13 is \
needed, not %d.%d: name one, as in: make $(or $(MAKECMDGOALS),run) PYTHON=python3.12" % sys.version_info[:2])

python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "set-up: $(PYTHON) is missing: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c '$(CHECK)'

setup: python ## virtual environments and pinned requirements; repeat at will
	@$(PYTHON) local/prepare.py

setup-tests: python ## what the tests need as well: packages of Debian, the emulator; repeat at will
	@$(PYTHON) local/prepare.py --tests

run: setup ## everything on this machine: embedded AWS, the app, the inbox, a sample incident
	@exec $(BIN)/python -m local.run

# Three workers on two cores: a third of the time the tests wait for servers.
test: setup-tests ## format, lint, types and all quick tests
	@status=0; \
	for step in "ruff format --check --output-format concise ." "ruff check ." "mypy" "pytest -n 3 --dist loadfile"; do \
		echo "== $$step"; $(BIN)/$$step || { status=1; failed="$$failed, $${step%% *}"; }; \
	done; \
	[ $$status = 0 ] || echo "make test: failed:$${failed#,}" >&2; exit $$status

acceptance: setup-tests ## the tests that take minutes: deploys, crashes, a browser, real Prometheus
	@$(BIN)/pytest -n 2 -m acceptance

sim: setup-tests ## random lives of the whole router, everything failing: make sim SEEDS=5000 FROM=200
	@$(BIN)/python -m simulation.random_life --seeds "$(SEEDS)" --from "$(FROM)"

check: setup ## what is wrong with alert-rules.yaml, what each rule means, who is notified
	@$(BIN)/tocsin check || [ $$? = 1 ]

deploy: setup ## put a stage on AWS: make deploy STAGE=prod (NEW=1 makes one of another name than dev and prod)
	@test -n "$(STAGE)" || { echo "deploy: which stage? make deploy STAGE=dev, STAGE=prod or a name of yours" >&2; exit 1; }
	@$(BIN)/tocsin deploy --stage "$(STAGE)" $(if $(PARAMETERS),--parameters "$(PARAMETERS)") $(if $(NEW),--new-stage)

bench: setup-tests ## measure the figures of bench/README.md again and write them there; ONLY="month growth" some
	@$(BIN)/python bench/figures.py $(ONLY)

clean: ## remove everything that was made here, the state of make run included
	rm -rf .venv .venv-emulator .tocsin .chalice/deployments .chalice/deployed/local.json chalicelib/compiled-rules.json
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
