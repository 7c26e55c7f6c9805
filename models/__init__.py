"""Networks of both papers and their backbones: tensors in, tensors out."""
