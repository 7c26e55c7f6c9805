"""Networks on cached tensors: the heads of both papers, and the controls that they have to beat."""
