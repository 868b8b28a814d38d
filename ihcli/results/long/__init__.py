"""A run in long form: one line for every value, with what the feature is in that row, a block of rows at a time."""
