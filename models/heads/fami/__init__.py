"""FAMI-Pose (CVPR 2022): backbone features of the neighbors, aligned with the key frame."""
