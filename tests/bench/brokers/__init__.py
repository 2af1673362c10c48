"""What the cases of brokers share: the events, the clock, Busway itself, and the table."""
