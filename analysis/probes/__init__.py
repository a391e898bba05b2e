"""Checks that train something small."""
