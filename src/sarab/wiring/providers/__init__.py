"""What sarab itself provides: a table for each target, and one small module for each device in it."""
