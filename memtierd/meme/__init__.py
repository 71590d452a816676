"""meme, the memory exerciser: a small C program that keeps chosen parts of its memory busy and the rest idle."""
