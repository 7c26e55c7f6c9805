"""Reading frames of pictures and videos."""
