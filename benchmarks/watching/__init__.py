"""Evidence on `wwopt.compare`: faults in real networks, which it must find, and harmless changes."""
