"""How right triage would be on somebody's own export, before they trust anything."""
