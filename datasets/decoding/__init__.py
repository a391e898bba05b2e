"""Worlds of words whose truth is known exactly: facts, scenes, stories, constraints."""
