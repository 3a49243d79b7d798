"""What the app does: one class per noun, each owning its transactions."""
