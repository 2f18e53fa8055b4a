"""A trained network applied: to points in memory, and to files of scans."""
