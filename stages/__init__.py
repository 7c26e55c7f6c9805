"""One DVC stage or command per file: `python -m stages` lists them."""
