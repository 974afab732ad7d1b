"""One request and its answer. Nothing here knows of windows, records or Singer."""
