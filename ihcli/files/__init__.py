"""Where bytes lie, on disks and stores alike, and how they get there whole."""
