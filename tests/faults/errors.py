class Wrong(Exception):
    """A pass figure is not met; the text says which."""
