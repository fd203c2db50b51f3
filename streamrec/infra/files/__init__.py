"""Files that somebody else wrote, as rows for a topic.

opened.py        a path, ``-`` or a URL as a stream of bytes, unpacked; how far it has been read
lines.py         bytes as lines of UTF-8, whatever encoding they are in
reading.py       which format a file has, and its rows
json_rows.py     JSON: an object a line, or one array of objects
csv_rows.py      CSV as RFC 4180 has it, and what is usual beside it
parquet_rows.py  Parquet, batch by batch of its row groups
ubi_rows.py      User Behavior Insights: searches and what came of them, as our events
field_map.py     from a file's columns to the fields of a topic's values
cells.py         one cell as what its field wants: an id, a time, a number, a list
"""
