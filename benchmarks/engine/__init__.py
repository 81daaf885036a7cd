"""Speed and memory of the engine, beside WeightWatcher."""
