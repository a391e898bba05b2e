"""What is measured: how a metric is declared, and how its full name in a summary leads back to the declaration."""
