"""Feeds what reads the API's answers with whatever a fuzzer can think of: `make fuzz`."""
