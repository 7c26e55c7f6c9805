"""Devices and weights files of networks."""
