"""The prompt: commands in, rows or one-line errors out, the same from a terminal, a pipe, an option or a file."""
