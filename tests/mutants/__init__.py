"""The core with one rule taken out, and the test that notices."""
