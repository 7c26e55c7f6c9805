"""Reading images and the frames of videos."""
