"""Parsers of PoseTrack annotations and predictions."""
