"""The loop: any method as an Avalanche strategy."""
