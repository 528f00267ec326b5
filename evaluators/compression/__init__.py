"""Networks made smaller: what may go, and what is left."""
