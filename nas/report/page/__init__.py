"""A run as one page: `collect` makes a plain document of it, `render` an HTML file of that."""
