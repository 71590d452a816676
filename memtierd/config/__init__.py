"""Configuration: YAML or JSON text to the parameters of all parts, with every problem and its place in the file."""
