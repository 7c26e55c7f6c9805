"""Person detection: detectors, detection files and box tables."""
