"""The workflow seen from Python: jobs and what they depend on, resources, programs, runs."""
