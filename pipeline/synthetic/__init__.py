"""The rendered data set: jointed people in moving pictures, with exact labels and exact flow."""
