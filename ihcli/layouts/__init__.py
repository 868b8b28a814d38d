"""What an explanation looks like in files and on screens: one protocol, one file for each kind."""
