"""What commands show: tables, words, progress, failures."""
