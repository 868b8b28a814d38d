"""Files of a model, one module a format."""
