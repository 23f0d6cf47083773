"""Small replies of our own making, with the shapes of what the genuine service sends."""
