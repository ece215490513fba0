"""Liquid for messages: its dialects, its limits, and templates compiled to Python functions."""
