"""Prior-held networks: one encoder of the whole view and one of the head, held by a body fitted to the photo."""
