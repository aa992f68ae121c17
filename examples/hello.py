"""The smallest example: an argument, a line, an exit status."""

import argparse


def main() -> None:
    parser = argparse.ArgumentParser(description="Greet somebody.")
    parser.add_argument("--name", default="World", help="whom to greet (World)")
    arguments = parser.parse_args()
    print(f"Hello, {arguments.name}!")


if __name__ == "__main__":
    main()
