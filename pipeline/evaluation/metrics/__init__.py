"""What is measured of predictions: PoseTrack's AP, OKS AP, kinds of errors, crowds."""
