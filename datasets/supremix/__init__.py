"""Regression data."""
