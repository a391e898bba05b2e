"""Algorithms of papers and their baselines, plain torch."""
