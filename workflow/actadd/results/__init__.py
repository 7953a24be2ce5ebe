"""What a reader sees: summaries, figures, tables, comparison with the paper, explorer."""
