"""What the FastStream case is made of: the same handlers under BusBroker and FastStream's own."""
