"""Fitting face models to scans, photos and reconstructions, and judging the fits."""
