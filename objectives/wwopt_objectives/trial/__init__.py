"""What happens to one trial: its evaluations, its record on the study, its weights, its constraints."""
