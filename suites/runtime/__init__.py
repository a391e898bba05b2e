"""Invocations and runs."""
