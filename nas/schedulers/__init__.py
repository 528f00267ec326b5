"""Who decides how far every evaluation goes."""
