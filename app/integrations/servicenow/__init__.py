"""The parts of the ServiceNow client."""
