"""PRT, spherical harmonics, ray-cast images, UV maps, turntables."""
