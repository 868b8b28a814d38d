"""What commands ask: options, their values, sections of help."""
