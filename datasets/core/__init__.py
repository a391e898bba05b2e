"""Rows, sources, views, streams, the cache."""
