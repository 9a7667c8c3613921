"""What a deployment can see of its requests: numbers, names and times; never what was said."""
