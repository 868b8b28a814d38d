"""Pickles read against an allow-list; nothing that a file brings along is called."""
