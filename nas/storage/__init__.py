"""What a run keeps: its folder, its store, and both read back."""
