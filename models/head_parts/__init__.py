"""Parts that several heads share: blocks, token layouts, the decoder, the heatmap loss."""
