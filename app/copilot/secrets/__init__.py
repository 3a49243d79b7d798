"""Secrets in ticket text: found by labels and patterns, then redacted. Pure."""
