"""The folder that holds the survey: its files, tables, and their soundness."""
