"""What a system declares, how it is found by the name of its folder, and how its head is built."""
