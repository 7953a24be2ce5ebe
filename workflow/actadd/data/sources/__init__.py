"""Sources: models, scorers and data, fetched from where they are published, or linked."""
