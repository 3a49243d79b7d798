"""The database: functions that take a connection and return values of app.models."""
