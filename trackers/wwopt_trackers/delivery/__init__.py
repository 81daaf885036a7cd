"""From the journal to the backend, in a process of its own."""
