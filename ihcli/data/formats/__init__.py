"""Files of a table, one module a format."""
