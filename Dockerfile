# The workflow with everything that it needs. This file has not been built by its authors.
#   docker build -t actadd-pipeline .
#   docker run --rm -v "$PWD/results:/actadd/results" actadd-pipeline --cores all
FROM python:3.11-slim

WORKDIR /actadd
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt

COPY Snakefile config.yaml environment.yml ./
COPY config config
COPY profiles profiles
COPY workflow workflow

ENTRYPOINT ["snakemake"]
