"""Images with a bias."""
