"""Camera, meshes, ray casting, inside test, iso-surfaces, metrics."""
