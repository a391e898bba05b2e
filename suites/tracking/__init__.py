"""From the journal to MLflow."""
