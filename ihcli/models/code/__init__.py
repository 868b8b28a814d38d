"""Code of the user's own that makes a network, run, and the weights of a file put into what it makes."""
