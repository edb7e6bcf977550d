//go:build !unix

// Command nbdload drives NBD servers side by side; it needs unix sockets and /proc.
package main

func main() { panic("nbdload: not on this system") }
