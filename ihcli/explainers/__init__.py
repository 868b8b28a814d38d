"""A model made ready, and rows made into explanations."""
