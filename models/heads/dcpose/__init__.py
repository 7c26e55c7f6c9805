"""DCPose (CVPR 2021), Deep Dual Consecutive Network."""
