"""The rows to explain: tables read, columns chosen, baselines drawn."""
