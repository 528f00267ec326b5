"""One running search: what is next, what is pending, where every outcome goes."""
