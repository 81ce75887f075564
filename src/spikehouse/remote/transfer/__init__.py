"""Carrying files over: plan, parts, checks, records."""
