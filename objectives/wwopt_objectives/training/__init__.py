"""What happens while a network trains: when to evaluate, monitoring, freezing, several processes."""
