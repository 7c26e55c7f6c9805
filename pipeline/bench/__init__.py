"""The table of ``posereel bench``: all systems on one data set, over several seeds."""
