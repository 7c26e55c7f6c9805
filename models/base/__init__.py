"""Parts that all networks share: input conversion, color normalization, loading of weights."""
