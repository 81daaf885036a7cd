"""Engine: `analyze`, from a source to an `Analysis`, with its settings, cache and parallel execution."""
