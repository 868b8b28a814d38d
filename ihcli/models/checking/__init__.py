"""Whether a model computes what it is asked, rows apart, and why it does not."""
