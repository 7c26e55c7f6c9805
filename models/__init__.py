"""Networks: the heads of both papers, their backbones and person detectors."""
