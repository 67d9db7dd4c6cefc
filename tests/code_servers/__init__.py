"""Servers of code intelligence as scripts, over real pipes, with the standard library alone."""
