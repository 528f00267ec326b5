"""Device profiles: made, packed for a board, fitted."""
