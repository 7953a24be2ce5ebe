"""The workflow seen from Python: jobs and what they depend on, costs, resources, programs, runs."""
