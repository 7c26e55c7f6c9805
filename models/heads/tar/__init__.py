"""TAR-ViTPose (CVPR 2026): joint queries gather tokens of all frames."""
