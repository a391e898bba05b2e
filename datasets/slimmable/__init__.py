"""Images with several tasks."""
