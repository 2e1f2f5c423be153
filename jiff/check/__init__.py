"""Verdicts on scans and processed sets."""
