"""From trained networks and one framed image to a coloured mesh."""
