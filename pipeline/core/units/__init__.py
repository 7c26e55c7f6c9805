"""Units of work: their keys, the scratch store and the engines that compute them."""
