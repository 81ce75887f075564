"""Asking one host, and believing little of what it says."""
