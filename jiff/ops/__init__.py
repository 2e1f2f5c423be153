"""Tensor operations with a plain torch twin and optional accelerated twins."""
