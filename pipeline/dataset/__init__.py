"""File layout and index tables of a data set."""
