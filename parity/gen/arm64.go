//go:build ignore

package main

func arm64() []byte { return []byte("#include \"textflag.h\"\n") }
