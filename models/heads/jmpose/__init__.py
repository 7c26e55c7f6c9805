"""JM-Pose (MM 2024), Joint-Motion Mutual Learning."""
