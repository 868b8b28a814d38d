"""`make paper`: the experiments of the papers behind ihcli, done again with ihcli, and the page of what came out."""
