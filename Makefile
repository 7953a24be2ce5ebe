# make run      the default experiments, with figures      make resume   go on after a crash
# make test     all tests and style checks                 make clean    remove what was computed
# make bench    speed against other libraries and the machine's limit
# make report   run, then results/report.html and results/explorer.html; paper-report: of the paper

VENV ?= .venv
PYTHON ?= python3
CORES ?= all
ACTIVATE = PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
REPORT = $(ACTIVATE) snakemake --report-html-stylesheet-path workflow/report/report.css --report
SNAKEMAKE = $(ACTIVATE) snakemake --cores $(CORES) --workflow-profile workflow/profiles/local

.PHONY: run resume report paper-report test bench env clean format

run: env
	$(SNAKEMAKE)

# A killed run leaves a lock; finished cells are in the store and are not computed again.
resume: env
	$(ACTIVATE) snakemake --unlock
	$(SNAKEMAKE)

report: env
	$(SNAKEMAKE) all explorer
	$(REPORT) results/report.html all explorer

paper-report: env
	$(SNAKEMAKE) paper_small paper_explorer
	$(REPORT) results/paper_report.html paper_small paper_explorer

test: env
	$(ACTIVATE) pytest -n 2

bench: env
	$(SNAKEMAKE) results/models/smollm2-135m
	$(ACTIVATE) PYTHONPATH=workflow python -m benchmarks

env: $(VENV)/.installed

$(VENV)/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement requirements.txt
	touch $@

format: env
	$(ACTIVATE) ruff check --fix --quiet . && $(ACTIVATE) ruff format --quiet .
	$(ACTIVATE) snakefmt --quiet Snakefile workflow

# Fetched models and data stay, since getting them again takes a network.
clean:
	find results -mindepth 1 -maxdepth 1 ! -name README.md ! -name sources -exec rm -rf {} +
	rm -rf .snakemake
