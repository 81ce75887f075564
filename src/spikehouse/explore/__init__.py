"""The recordings in a browser."""
