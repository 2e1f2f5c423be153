"""How far a reconstruction is from its scan."""
