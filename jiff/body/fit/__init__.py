"""A body fitted to what is seen of a person."""
