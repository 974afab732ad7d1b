"""The target's side: messages, state, stream maps, signals, the log."""
