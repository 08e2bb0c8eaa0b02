"""Buttons, forms and /tocsin: received, handled, answered."""
