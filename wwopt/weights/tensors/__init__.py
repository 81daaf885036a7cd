"""Named tensors: in memory, in a file, decoded from their element types."""
