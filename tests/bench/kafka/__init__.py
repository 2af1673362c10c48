"""What the Kafka case is made of: one module for each contender, and one for each task."""
