"""The commands of `posereel`, one file each."""
