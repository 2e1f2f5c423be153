"""Optional files of the user: where they lie, what is known about them, how they are fetched."""
