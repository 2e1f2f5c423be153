"""Normals of the seen side of clothed people, from a photo and its mask: folds, collars, hems."""
