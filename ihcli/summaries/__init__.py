"""Statistics of attributions and interactions, gathered while rows stream by."""
