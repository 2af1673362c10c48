"""Busway in web applications: real servers of HTTP, real clients."""
