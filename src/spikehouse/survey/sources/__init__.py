"""Sources of the data set: warehouse, S3, DANDI, a folder."""
