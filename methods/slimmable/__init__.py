"""Slimmable multi-task networks: one training, then any compute budget and preference over tasks."""
