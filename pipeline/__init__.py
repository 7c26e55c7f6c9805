"""The domain: what a pose, a clip, a store and a metric are."""
