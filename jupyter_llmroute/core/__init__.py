"""The router itself: from a request to a stream of events. It knows nothing of Jupyter.

Read in the order of the flow: `request`, `context`, `classifier`, `catalog`, `selector`, `executor`, `router`.
"""
