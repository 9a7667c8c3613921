"""Policies choose among candidates, by predictions, prices and constraints; never by text."""
