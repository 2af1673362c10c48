"""The flights of New York in January 2013, through the bus: ``python -m examples.flights``."""
