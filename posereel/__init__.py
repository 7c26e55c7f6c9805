"""What a person types and imports: the command line and the Python interface."""
