"""What a finished run says."""
