#!/usr/bin/python3
"""age_logs.py DAYS FILE...: moves the times in nginx's logs into the past. The lines stay what nginx wrote."""
import datetime
import re
import sys

days = datetime.timedelta(days=float(sys.argv[1]))
FORMATS = [
    (rb"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", "%Y/%m/%d %H:%M:%S"),
    (rb"(?<=\[)\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}(?=\])", "%d/%b/%Y:%H:%M:%S %z"),
    (rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", "%Y-%m-%dT%H:%M:%S%z"),
]


def older(text, form):
    moved = (datetime.datetime.strptime(text.decode(), form) - days).strftime(form)
    # nginx writes the ISO offset with a colon, strftime without.
    return (moved[:-2] + ":" + moved[-2:] if form.endswith("S%z") else moved).encode()


for name in sys.argv[2:]:
    with open(name, "r+b") as file:
        text = file.read()
        for pattern, form in FORMATS:
            text = re.sub(pattern, lambda found: older(found[0], form), text, flags=re.MULTILINE)
        file.seek(0)
        file.truncate()
        file.write(text)
