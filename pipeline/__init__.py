"""The domain logic: poses, clips, caches and metrics."""
