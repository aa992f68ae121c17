"""From an application to a bootable image: import closure, file tree, ELF file (docs/decisions/0001, 0002, 0010)."""
