"""Metrics: PoseTrack AP, OKS AP, kinds of error, crowd index, box recall."""
