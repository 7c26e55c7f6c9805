"""VREMD: pose estimation through focused human and joint regions."""
