# make run      the default experiments, with figures      make resume   go on after a crash
# make test     all tests and style checks                 make clean    remove what was computed
# make bench    speed against other libraries         make plan     what a run would compute
# make bench ITEMS='judge warm'    some items only
# make report   run, then results/report.html and results/explorer.html; paper-report: of the paper
# make docs     the documentation as a site, results/docs      make lock     requirements.lock anew
# make test-nightly    the tests that take many minutes     make test-docs    what the documents say, for real
# make test-slurm      the workflow on a Slurm cluster of one node, started for it (as root)

VENV ?= .venv
PYTHON ?= python3
CORES ?= all
ACTIVATE = PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
REPORT = $(ACTIVATE) snakemake --report-stylesheet workflow/report/report.css --report
SNAKEMAKE = $(ACTIVATE) snakemake --cores $(CORES)

.PHONY: run resume plan report paper-report test test-docs test-nightly test-slurm bench docs env lock clean format

run: env
	$(SNAKEMAKE)

# A killed run leaves a lock; finished cells are in the store and are not computed again. Unlocking
# is refused as long as a run is alive.
resume: env
	$(ACTIVATE) snakemake --unlock
	$(SNAKEMAKE)

plan: env
	@$(ACTIVATE) actadd plan

report: env
	$(SNAKEMAKE) all explorer
	$(REPORT) results/report.html all explorer

paper-report: env
	$(SNAKEMAKE) paper_small paper_explorer
	$(REPORT) results/paper_report.html paper_small paper_explorer

test: env
	$(ACTIVATE) pytest -n 2

# Tutorial and README, command by command, with the real model: an hour.
test-docs: env
	$(ACTIVATE) pytest -n 0 -m docs

test-nightly: env
	$(ACTIVATE) pytest -n 0 -m nightly

test-slurm: env
	$(ACTIVATE) pytest -n 0 -m slurm

bench: env
	$(SNAKEMAKE) results/models/smollm2-135m
	$(ACTIVATE) PYTHONPATH=workflow python -m benchmarks $(if $(ITEMS),--items $(ITEMS))

env: $(VENV)/.installed $(VENV)/bin/actadd

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
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet uv==0.13.8
	$(VENV)/lock/bin/uv pip compile --quiet requirements.txt --universal --python-version 3.11 \
		--generate-hashes --no-annotate --custom-compile-command "make lock" -o requirements.lock
	rm -r $(VENV)/lock

# The documentation as a site, results/docs; its graph of rules is drawn anew where Graphviz is.
docs: env
	if command -v dot > /dev/null; then $(VENV)/bin/python docs/rulegraph.py; fi
	$(ACTIVATE) NO_MKDOCS_2_WARNING=1 mkdocs build --quiet

format: env
	$(ACTIVATE) ruff check --fix --quiet . && $(ACTIVATE) ruff format --quiet .
	$(ACTIVATE) snakefmt Snakefile workflow

# Fetched models and data stay, since getting them again takes a network.
MADE = find results -mindepth 1 -maxdepth 1 ! -name README.md ! -name sources

clean:
	@echo "removing, of what was computed (results/sources stays):"
	@$(MADE) -exec du -sh {} + ; if [ -d .snakemake ]; then du -sh .snakemake; fi
	@$(MADE) -exec rm -rf {} + ; rm -rf .snakemake
