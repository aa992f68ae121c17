"""A library operating system for Python: one bootable image of an application, its Python and a small kernel."""
