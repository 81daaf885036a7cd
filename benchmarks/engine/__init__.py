"""How fast the engine is, beside WeightWatcher, and how much memory it takes."""
