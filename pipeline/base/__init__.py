"""What every room builds on: params, errors and atomic files."""
