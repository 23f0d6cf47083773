"""What other tools make of our files; in an environment of its own: ``tox -e interop``."""
