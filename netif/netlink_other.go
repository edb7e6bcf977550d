//go:build !linux

package netif

func listen() (source, error) { return nil, nil }
