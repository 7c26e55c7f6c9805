"""Annotations and predictions in PoseTrack's forms, as columns."""
