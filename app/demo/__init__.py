"""The demo: the app beside a simulated instance, with sample tickets."""
