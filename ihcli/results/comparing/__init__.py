"""Runs over the same rows beside each other: how far their values agree, and the run that is their mean."""
