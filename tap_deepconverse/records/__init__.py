"""From the bytes of a response to records that match the schema. Nothing here knows about windows."""
