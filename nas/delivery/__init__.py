"""What a user takes home from a run: its models as files, and the one to pick."""
