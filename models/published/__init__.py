"""Networks as others publish them: the names in their files, and what becomes of each tensor."""
