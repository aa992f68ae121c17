"""What every device promises, checked: a module an interface, `check_block(make)` and so on (`cards` has Network's)."""
