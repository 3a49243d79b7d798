"""The connection to the instance: its status, its test, its small lists."""
