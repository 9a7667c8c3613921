"""Policies choose among candidates, given predictions, prices and constraints; they never read text."""
