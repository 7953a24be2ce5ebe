"""Numbers and texts of an experiment's conditions."""
