"""COCONUT and what it is compared with."""
