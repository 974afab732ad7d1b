"""A local Export API with sample data: for the demo, the tests, and anyone without a key."""
