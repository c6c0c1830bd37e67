"""Measures time, requests, memory and dollars of the app and of its alternatives."""
