"""Baselines that any family may use."""
