"""Synthetic scans: clothed, textured people made from the anny body."""
