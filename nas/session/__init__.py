"""One running search: what is next, what is open, where every outcome goes."""
