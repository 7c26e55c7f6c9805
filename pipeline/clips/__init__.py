"""Clips: a person in a key frame and its neighboring frames."""
