"""Smart IT Copilot: a help desk that triages tickets and keeps them in step with ServiceNow."""
