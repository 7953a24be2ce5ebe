"""Dataset readers: each kind of file is one module, which returns the file's rows as a table."""
