"""Changes of rows between reader and model, one a file; a recipe lists them in ``data.transforms``."""
