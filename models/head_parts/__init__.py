"""What heads share: their declaration and lookup, blocks, token layouts, decoder, heatmap loss."""
