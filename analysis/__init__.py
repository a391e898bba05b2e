"""What the numbers mean: arrays in, numbers, tables and pictures out."""
