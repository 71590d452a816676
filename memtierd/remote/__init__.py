"""The control socket: a prompt into the running daemon, with its protocol, its server and its client."""
