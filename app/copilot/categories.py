"""The categories of tickets: ServiceNow's, and access. The one place that names them."""

CATEGORIES = ("inquiry", "software", "hardware", "network", "database", "access")
