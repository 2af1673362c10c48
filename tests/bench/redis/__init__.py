"""What the Redis case is made of: events of 256 bytes, and one module for each contender."""
