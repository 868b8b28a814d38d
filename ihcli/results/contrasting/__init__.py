"""For whom, and because of what: effects compared between groups of rows, and set beside columns of the data."""
