"""What heads share: declaration and lookup, blocks, deformation, token layouts, decoder, loss."""
