"""Params of the heads and controls, and every system by its name."""
