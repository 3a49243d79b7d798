"""What can be asked for: one module per noun, pages and JSON side by side."""
