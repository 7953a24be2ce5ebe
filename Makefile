# `make` lists the targets: the lines below that hold `##`, in their order.

VENV ?= .venv
PYTHON ?= python3
CORES ?= all
UV = uv==0.13.8
ACTIVATE = PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
REPORT = $(ACTIVATE) snakemake --report-stylesheet workflow/report/report.css --report
SNAKEMAKE = $(ACTIVATE) snakemake --cores $(CORES)

# A model of 15 million parameters, which is fetched by npm.
DEMO = --vector love-hate --model stories15m --layer 1 --coefficient -4

.PHONY: help run demo resume plan report paper-report test test-docs test-nightly test-slurm test-ranges bench docs env lock clean format

help:
	@echo "usage: make TARGET"
	@sed -nE 's/^([a-z-]+):[^#]*## (.+)/\1|\2/p' Makefile | while IFS='|' read -r target what; do \
		printf '  %-13s %s\n' "$$target" "$$what"; done

run: env ## the default experiments, with figures
	$(SNAKEMAKE)

demo: env ## one figure and three pairs of completions, in a minute
	@$(SNAKEMAKE) --configfile config/demo.yaml -- results/figures/demo.png
	@$(ACTIVATE) actadd try $(DEMO) "Tom walked to school and on the way he"

# A killed run leaves a lock; finished cells are in the store and are not computed again. Unlocking
# is refused as long as a run is alive.
resume: env ## go on after a crash
	$(ACTIVATE) snakemake --unlock
	$(SNAKEMAKE)

plan: env ## what a run would compute, and how long that takes
	@$(ACTIVATE) actadd plan

report: env ## run, then results/report.html and results/explorer.html
	$(SNAKEMAKE) all explorer
	$(REPORT) results/report.html all explorer

paper-report: env ## the same for the experiments of the paper
	$(SNAKEMAKE) paper_small paper_explorer
	$(REPORT) results/paper_report.html paper_small paper_explorer

test: env ## all tests and style checks
	$(ACTIVATE) pytest -n 2

# Tutorial and README, command by command, with the real model: an hour.
test-docs: env ## what the documents say, command by command: an hour
	$(ACTIVATE) pytest -n 0 -m docs

test-nightly: env ## the tests that take many minutes
	$(ACTIVATE) pytest -n 0 -m nightly

test-slurm: env ## the workflow on a Slurm cluster, started for it (as root)
	$(ACTIVATE) pytest -n 0 -m slurm

# The library's tests in an environment of its own; ENDS=highest: the newest releases. Gigabytes, as
# this is the package index's build of torch.
ENDS ?= lowest highest
LIBRARY = $(addprefix tests/unit/test_,$(addsuffix .py,directions draws exchange exchange_types gates \
	given_vectors golden invariants lens library operations operation_references public_api \
	sampling static_decode token_trees verification))

test-ranges: ## the library with the oldest and newest packages it allows
	for end in $(ENDS); do \
		$(PYTHON) -m venv --clear $(VENV)/$$end && $(VENV)/$$end/bin/pip install --quiet $(UV) && \
		$(VENV)/$$end/bin/uv pip install --quiet --python $(VENV)/$$end/bin/python \
			--resolution $$(echo $$end | sed 's/lowest/lowest-direct/') . && \
		grep -E '^(pytest|hypothesis|scikit-learn)' requirements.txt | xargs $(VENV)/$$end/bin/pip install --quiet && \
		$(VENV)/$$end/bin/python -m pytest -n 2 $(LIBRARY) || exit 1; \
	done

bench: env ## speed against other libraries; ITEMS='judge warm': some of them
	$(SNAKEMAKE) results/models/smollm2-135m
	$(ACTIVATE) PYTHONPATH=workflow python -m benchmarks $(if $(ITEMS),--items $(ITEMS))

env: $(VENV)/.installed $(VENV)/bin/actadd ## the Python environment .venv, with the command .venv/bin/actadd

# The lock's versions without its sums: those are of another build of torch on some machines.
$(VENV)/.installed: requirements.txt requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	sed -nE 's/^([^ #]+==[^ \\]+( ;[^\\]*)?).*/\1/p' requirements.lock > $(VENV)/constraints.txt
	$(VENV)/bin/pip install --quiet --requirement requirements.txt --constraint $(VENV)/constraints.txt
	touch $@

# The command actadd: this checkout's library, wherever it is called.
$(VENV)/bin/actadd: $(VENV)/.installed
	printf '#!/bin/sh\nPYTHONPATH="%s$${PYTHONPATH:+:$$PYTHONPATH}" exec "%s" -P -m actadd "$$@"\n' \
		"$(CURDIR)/workflow" "$(abspath $(VENV))/bin/python" > $@
	chmod +x $@

# Every package of the tree, for every platform, with the sums of its files; torch is the package
# index's build, which brings CUDA on Linux. `pip install -r requirements.lock` checks the sums.
lock: ## requirements.lock, from requirements.txt
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet $(UV)
	$(VENV)/lock/bin/uv pip compile --quiet requirements.txt --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" -o requirements.lock
	rm -r $(VENV)/lock

# The documentation as a site, results/docs; its graph of rules is drawn anew where Graphviz is.
docs: env ## the documentation as a site, results/docs
	if command -v dot > /dev/null; then $(VENV)/bin/python docs/rulegraph.py; fi
	$(ACTIVATE) NO_MKDOCS_2_WARNING=1 mkdocs build --quiet

format: env ## Python and rules in the style of the project
	$(ACTIVATE) ruff check --fix --quiet . && $(ACTIVATE) ruff format --quiet .
	$(ACTIVATE) snakefmt Snakefile workflow

# Fetched models and data stay, since getting them again takes a network.
MADE = find results -mindepth 1 -maxdepth 1 ! -name README.md ! -name sources

clean: ## remove what was computed
	@echo "removing, of what was computed (results/sources stays):"
	@$(MADE) -exec du -sh {} + ; if [ -d .snakemake ]; then du -sh .snakemake; fi
	@$(MADE) -exec rm -rf {} + ; rm -rf .snakemake
