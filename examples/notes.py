"""A database in /tmp, filled from standard input, a note a line: `sarab run examples/notes.py < some.txt`."""

import sqlite3
import sys
from contextlib import closing


def main() -> None:
    with closing(sqlite3.connect("/tmp/notes.db")) as database:
        database.execute("create table notes (number integer primary key, text text not null)")
        database.executemany("insert into notes (text) values (?)", ([line.rstrip("\n")] for line in sys.stdin))
        database.commit()
        query = "select number, text from notes order by length(text) desc, number limit 3"
        for number, text in database.execute(query):
            print(f"{number}: {text}")
        count, size = database.execute("select count(*), coalesce(sum(length(text)), 0) from notes").fetchone()
        print(f"{count} notes, {size} characters")


if __name__ == "__main__":
    main()
