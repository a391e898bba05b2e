"""Experiments a person runs: recipes, the command line, the runner, tracking."""
