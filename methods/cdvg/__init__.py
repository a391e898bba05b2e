"""CDvG and what it is compared with."""
