"""Routes: one module per noun, with its pages and its API."""
