"""The Copilot's engine: pure, without database or network."""
