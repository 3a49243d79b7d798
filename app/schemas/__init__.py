"""JSON in and out of /api, one module per noun."""
