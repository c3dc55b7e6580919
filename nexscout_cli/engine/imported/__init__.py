"""Usage that other tools kept: a reader for each source, rows in and records out. Nothing here opens a file."""
