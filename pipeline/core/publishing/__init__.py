"""From units to DVC outs and back: the resume loop, hardlinks, what DVC's cache still holds."""
