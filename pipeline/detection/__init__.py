"""Person boxes of every frame."""
