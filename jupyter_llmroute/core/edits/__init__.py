"""Changes of a project's files that one can see before they happen: from an answer to files, and back."""
