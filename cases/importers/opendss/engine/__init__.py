"""OpenDSS's own engine in a child process: it runs the script, and the compiled circuit is read out of it."""
