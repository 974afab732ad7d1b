"""From the bytes of an answer to records that keep the schema's promise. Nothing here knows of windows."""
