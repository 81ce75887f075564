"""Where the survey can be had: warehouse, S3, DANDI, a folder."""
