"""A run on disk: written, resumed, merged and read."""
