"""From the caches of a split to its people, as units."""
