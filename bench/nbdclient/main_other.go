//go:build !unix

package main

func main() { panic("nbdclient needs unix sockets") }
