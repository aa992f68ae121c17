"""Knows drivers and stack both, and puts them together for an image or a process."""
