"""The cache folder: its files, its tables, and their verification."""
