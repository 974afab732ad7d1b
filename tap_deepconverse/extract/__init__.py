"""What is read when, and what is complete. Nothing here knows of Singer or of sockets."""
