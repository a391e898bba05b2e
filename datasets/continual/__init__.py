"""Plain image sets for class-incremental suites."""
