"""Chunks explained in this process, in others, or on a cluster.

This file imports nothing: `forking` has to come before torch.
"""
