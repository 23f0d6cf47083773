"""A stand-in for the archive of published products: see `server.LocalTap`."""
