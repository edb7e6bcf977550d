//go:build !unix

package nbd

const canTry = false

func tryWrite(uintptr, []byte) (int, error) { panic("nbd: no write without waiting on this system") }
