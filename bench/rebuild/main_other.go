//go:build !unix

// Command rebuild measures recovery; it needs to know what CPU it used.
package main

func main() { panic("rebuild: not on this system") }
