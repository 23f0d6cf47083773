"""Small products of our own making, of the shapes that the genuine service sends."""
