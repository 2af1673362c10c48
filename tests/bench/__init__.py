"""Benchmarks of the hot path, beside the bare queue and the peers: ``python -m tests.bench``."""
