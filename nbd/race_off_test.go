//go:build !race

package nbd_test

const raced = false // the race detector is not on
