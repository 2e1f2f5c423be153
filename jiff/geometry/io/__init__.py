"""Reading and writing meshes, materials and textures."""
