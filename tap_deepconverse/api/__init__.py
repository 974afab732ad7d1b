"""One request and its response. Nothing here knows about windows, records or Singer."""
