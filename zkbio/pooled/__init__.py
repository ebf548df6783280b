"""A Django database engine that keeps a bounded number of PostgreSQL connections open (docs/adr/0005)."""
