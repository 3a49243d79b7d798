"""The connection to the instance: its status, its test and its cached lists."""
