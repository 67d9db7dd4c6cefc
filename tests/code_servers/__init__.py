"""Servers of code intelligence as scripts, over real pipes; each is a program of its own with the standard library alone."""
