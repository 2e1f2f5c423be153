"""The options of every command as frozen dataclasses; neither torch nor NumPy is imported."""
