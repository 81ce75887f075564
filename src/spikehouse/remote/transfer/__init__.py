"""Download one file: byte ranges in parallel, resumable parts, checks, records."""
