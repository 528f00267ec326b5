"""From settings to a running search."""
