"""Pose estimation in a video file."""
