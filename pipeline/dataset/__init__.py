"""The index of a data set and the layout of its files."""
