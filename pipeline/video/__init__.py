"""Poses of people in a video file."""
