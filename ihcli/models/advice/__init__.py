"""What a file that is not read holds, and the step that leads from it to one that is."""
