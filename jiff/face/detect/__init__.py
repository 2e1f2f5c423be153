"""Where a face is in a picture, and which way a scan looks."""
