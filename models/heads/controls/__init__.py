"""What the two heads have to beat on the same caches."""
