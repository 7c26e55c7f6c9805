"""The report: its sections, charts and pictures."""
