"""HTTP client for one host that checks every answer."""
