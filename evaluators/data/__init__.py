"""Datasets: loading, checking and converting them, and the one that is built in."""
