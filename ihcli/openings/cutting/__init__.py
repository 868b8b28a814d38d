"""Where a layer is called, one module a format: what it takes or gives is shown, or handed in its place."""
