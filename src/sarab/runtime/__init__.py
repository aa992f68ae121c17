"""What runs inside an image before the application does. Imports nothing but what CPython has loaded at start."""
