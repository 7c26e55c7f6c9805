"""Clips: a person in a key frame and its neighbouring frames."""
