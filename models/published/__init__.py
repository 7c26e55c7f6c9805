"""Published networks: the tensor names in their files and the conversion of each tensor."""
