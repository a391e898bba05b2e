"""A world of spoken commands with known factors: grammar, voices, speech, features."""
