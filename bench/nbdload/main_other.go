//go:build !linux

// Command nbdload drives NBD servers side by side; it needs the CPU clocks that Linux has of other processes.
package main

func main() { panic("nbdload: not on this system") }
