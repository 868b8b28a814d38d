"""What the files of a checkpoint say of each other, checked before a model is made of them."""
