"""TorchScript archives of strangers, read and checked before anything in them runs."""
