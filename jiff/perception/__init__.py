"""See the person: mask, pose and face points of a photo by small embedded networks."""
