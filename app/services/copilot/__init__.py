"""Triage, suggestions, training and drafts."""
