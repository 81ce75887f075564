"""A remote file read where it lies: ranges, kept blocks."""
