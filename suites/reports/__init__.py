"""Tables and comparisons."""
