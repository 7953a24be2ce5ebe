"""What tests work on: models, chat templates, workspaces, a browser, a cluster, a reference."""
