"""Hostile bytes for the decoder."""
