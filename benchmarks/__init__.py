"""The tap beside what a user would pick instead, against a server that costs next to nothing."""
