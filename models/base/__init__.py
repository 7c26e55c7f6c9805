"""What all networks share: reading crops, color normalization and loading weights."""
