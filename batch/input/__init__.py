"""A file of any format in, a list of licenses out."""
