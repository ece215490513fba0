"""How dates look, one way for every locale."""
