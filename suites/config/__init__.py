"""Recipes: schema, loading, registry, messages."""
