"""Morphable models, detection, fitting, face box."""
