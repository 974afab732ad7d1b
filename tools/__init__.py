"""What the project needs to be released: not part of the tap, nor of its tests."""
