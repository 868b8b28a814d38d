"""Methods to compare with: derivatives at a single point, and outputs with gates closed; no integral is taken."""
