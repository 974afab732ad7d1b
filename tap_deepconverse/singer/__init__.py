"""The Singer side: messages, state, stream maps, signals, the log."""
