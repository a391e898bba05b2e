"""The built-in recipes, one YAML file a suite."""
