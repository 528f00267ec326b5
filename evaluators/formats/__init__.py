"""Files that runtimes read, written from networks."""
