"""What people look at: progress, status, tables, pictures."""
