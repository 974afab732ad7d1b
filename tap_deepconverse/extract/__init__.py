"""What is read when, and what is complete. Nothing here knows about Singer or sockets."""
