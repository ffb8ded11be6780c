"""A second implementation of the LAMA protocol, written from docs/protocol alone.

It joins a running instance with an invitation, authenticates, pairs, receives objects and acknowledges them. It is
evidence that the documents are complete, and a place to start from; it is no product: one session, nothing stored.
"""
