"""Background and target sets."""
