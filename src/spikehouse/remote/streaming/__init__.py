"""Read a remote file over HTTP range requests and cache the bytes."""
